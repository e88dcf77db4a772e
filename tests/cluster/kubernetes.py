"""A Kubernetes of one node: its parts as child processes, in the namespaces that `run` has made for it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import trustme
import yaml

Resource = dict[str, Any]

NODE = "10.88.0.1"
FOLDER = Path("/run/cluster")
KUBECONFIG = FOLDER / "kubeconfig"
START_TIMEOUT_S = 120
NO_CHANGES: Mapping[str, str] = {}

DNS_SERVER = [
    "--keep-in-foreground",
    "--conf-file=/dev/null",
    "--pid-file=",
    "--user=root",
    "--bind-interfaces",
    f"--listen-address={NODE}",
    "--no-hosts",
    "--no-resolv",
    # Nobody else is asked: a name that is not known does not exist.
    "--local=/#/",
]
API_SERVER = [
    "--etcd-servers=http://127.0.0.1:2379",
    f"--advertise-address={NODE}",
    "--service-cluster-ip-range=10.96.0.0/16",
    f"--tls-cert-file={FOLDER}/server.pem",
    f"--tls-private-key-file={FOLDER}/server.key",
    f"--client-ca-file={FOLDER}/ca.pem",
    "--service-account-issuer=https://kubernetes.default.svc",
    f"--service-account-key-file={FOLDER}/server.key",
    f"--service-account-signing-key-file={FOLDER}/server.key",
    "--authorization-mode=RBAC",
    # DNS does not know the node's name.
    "--kubelet-preferred-address-types=InternalIP",
]
CONTAINERD = [f"--config={FOLDER}/etc/containerd.toml"]
# The clients of the API server.
CLIENTS = {
    "kube-controller-manager": [
        f"--kubeconfig={KUBECONFIG}",
        "--leader-elect=false",
        f"--root-ca-file={FOLDER}/ca.pem",
        f"--service-account-private-key-file={FOLDER}/server.key",
    ],
    "kube-scheduler": [f"--kubeconfig={KUBECONFIG}", "--leader-elect=false"],
    "kubelet": [
        f"--config={FOLDER}/etc/kubelet.yaml",
        f"--kubeconfig={KUBECONFIG}",
        "--hostname-override=node",
        f"--node-ip={NODE}",
    ],
}


class ClusterError(Exception):
    """The cluster did not do what was asked; the message has the programs' own words."""


class Kubernetes:
    """Starts the parts, and speaks to them by kubectl. What they log goes into a folder."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.parts: dict[str, subprocess.Popen[bytes]] = {}
        self.environ = {**os.environ, "KUBECONFIG": str(KUBECONFIG)}

    def start(self, images: Path, hosts: Mapping[str, str]) -> None:
        """Start all; `images` is an archive to load, `hosts` what DNS knows besides the API server."""
        write_credentials()
        hosts = {"kubernetes.default.svc.cluster.local": NODE, **hosts}
        records = [f"--host-record={name},{address}" for name, address in hosts.items()]
        self.run("dnsmasq", "dnsmasq", *DNS_SERVER, *records)
        self.run("etcd", "etcd", "--data-dir=/var/lib/etcd")
        for program, args in (("kube-apiserver", API_SERVER), ("containerd", CONTAINERD)):
            with self.readiness() as environ:
                self.run(program, program, *args, env=environ)
        for program, args in CLIENTS.items():
            self.run(program, program, *args)
        self.command("ctr", "--namespace=k8s.io", "images", "import", str(images))
        for condition in ("create", "condition=Ready"):
            self.kubectl("wait", f"--for={condition}", "node/node", f"--timeout={START_TIMEOUT_S}s")

    def stop(self) -> None:
        for process in self.parts.values():
            process.kill()
            process.wait()

    def run(
        self, name: str, *command: str, env: Mapping[str, str] = NO_CHANGES
    ) -> subprocess.Popen[bytes]:
        """Start a part; its log is appended to the file of its name."""
        with (self.logs / f"{name}.log").open("ab") as log:
            self.parts[name] = subprocess.Popen(
                command,
                env={**self.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self.parts[name]

    @contextmanager
    def readiness(self) -> Iterator[dict[str, str]]:
        """Wait on leaving until a part says that it is ready, as it would to systemd (sd_notify(3))."""
        path = FOLDER / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
            server.bind(str(path))
            server.settimeout(START_TIMEOUT_S)
            yield {"NOTIFY_SOCKET": str(path)}
            try:
                while b"READY=1" not in server.recv(4096):
                    pass
            except TimeoutError:
                raise ClusterError(f"not ready in time{self.ended_parts()}") from None
        path.unlink()

    def command(self, *args: str, stdin: str = "") -> str:
        """Run a program to its end and return its output."""
        result = subprocess.run(
            args, env=self.environ, input=stdin, capture_output=True, text=True, check=False
        )
        if result.returncode:
            raise ClusterError(f"{' '.join(args)}: {result.stderr.strip()}{self.ended_parts()}")
        return result.stdout

    def kubectl(self, *args: str, stdin: str = "") -> str:
        return self.command("kubectl", *args, stdin=stdin)

    def wait_for(
        self, path: str, accept: Callable[[Resource], bool], timeout_s: int, **query: str
    ) -> Resource:
        """Watch the objects of a list, as they are and with each change, for the first to accept."""
        query = {"watch": "true", "timeoutSeconds": str(timeout_s), **query}
        url = f"{path}?{urlencode(query)}"
        seen: Resource = {}
        with subprocess.Popen(
            ["kubectl", "get", "--raw", url], env=self.environ, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                seen = json.loads(line)["object"]
                if accept(seen):
                    process.kill()
                    return seen
        # A check of v2 has no status but a spec.
        last = json.dumps(seen.get("status", seen.get("spec")))
        raise ClusterError(f"{url}: in vain, last {last}{self.ended_parts()}")

    def ended_parts(self) -> str:
        """Tell which parts have ended, with the last lines of their logs."""
        text = ""
        for name, process in self.parts.items():
            if process.poll() is not None:
                lines = (self.logs / f"{name}.log").read_text(errors="replace").splitlines()
                text += f"\n{name} ended with {process.returncode}:\n" + "\n".join(lines[-10:])
        return text


def write_credentials() -> None:
    """Write the API server's key and certificate, and the administrator's kubeconfig, which all parts use."""
    ca = trustme.CA()
    server = ca.issue_cert(NODE, "kubernetes.default.svc")
    admin = ca.issue_cert("admin", common_name="admin", organization_name="system:masters")
    ca.cert_pem.write_to_path(FOLDER / "ca.pem")
    server.private_key_pem.write_to_path(FOLDER / "server.key")
    server.cert_chain_pems[0].write_to_path(FOLDER / "server.pem")
    cluster = {
        "server": f"https://{NODE}:6443",
        "certificate-authority": str(FOLDER / "ca.pem"),
    }
    user = {
        "client-certificate-data": b64encode(admin.cert_chain_pems[0].bytes()).decode(),
        "client-key-data": b64encode(admin.private_key_pem.bytes()).decode(),
    }
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": "admin", "user": user}],
        "contexts": [{"name": "admin", "context": {"cluster": "cluster", "user": "admin"}}],
        "current-context": "admin",
    }
    KUBECONFIG.write_text(yaml.safe_dump(config))

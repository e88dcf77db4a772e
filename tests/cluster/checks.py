"""The checks of the tests: scripts for `khshim manifest`, and variations of the project's own manifests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

import shim
from shim.kuberhealthy import Server
from tests.cluster.kubernetes import NODE
from tests.support.manifests import ROOT, load, pod_spec

EXAMPLES = {Server.V2: ROOT / "khcheck.yaml", Server.V3: ROOT / "healthcheck.yaml"}
KUSTOMIZATION = ROOT / "examples" / "kustomize"
DERIVED = f"khshim-derived:{shim.__version__}"
# Where the tests answer to the checks.
SITE = f"http://{NODE}:8000"

SCRIPTS = {
    "passing": "#!/bin/sh\necho all is well\n",
    "failing": "#!/bin/bash\necho 'the price of \"Käse\" is C:\\5' >&2\nexit 1\n",
    "hanging": "#!/bin/sh\necho waiting for the tide >&2\nexec sleep infinity\n",
    "stubborn": "#!/bin/bash\ntrap '' TERM\necho not listening >&2\nwhile :; do sleep 1; done\n",
    "hungry": "#!/bin/sh\npython3 -c 'x = bytearray(200_000_000)'\n",
    "deleted": "#!/bin/sh\necho counting >&2\nexec sleep infinity\n",
    "evicted": "#!/bin/sh\necho counting >&2\nexec sleep infinity\n",
    "forced": "#!/bin/sh\necho counting >&2\nexec sleep infinity\n",
    "once": "#!/bin/sh\necho once is enough >&2\nexit 1\n",
    "repeated": "#!/bin/sh\nexit 0\n",
    "elsewhere": "#!/bin/sh\necho \"user $(id -u) has $(busybox | sed -n '1s/ .*//p')\" >&2\nexit 1\n",
    # Says that it is there, and ends when the tests let it.
    "lonely": '#!/bin/sh\ncurl --silent --show-error --fail "$URL"\n',
}
# An image that knows nothing of khshim.
OTHER = "khshim-root-busybox:1"
OPTIONS = {"elsewhere": [f"--in={OTHER}", "--user=65532"]}
# Bundled scripts, with the address of the API server, since no kube-proxy serves the usual one.
BUNDLED = {
    "pod_status.py": [],
    "node_ready.py": [],
    # The example for each version is called dns-check already.
    "dns_check.py": [
        "--name=dns-check-py",
        "--env=NAMES=kubernetes.default.svc.cluster.local",
        f"--env=RESOLVER={NODE}",
    ],
}
API = [f"--env=KUBERNETES_SERVICE_HOST={NODE}", "--env=KUBERNETES_SERVICE_PORT=6443"]
TIMEOUTS = {"hanging": "1m", "stubborn": "1m"}


def generate(name: str, server: Server, folder: Path) -> str:
    """Return what `khshim manifest` writes for a script."""
    script = folder / f"{name}.sh"
    script.write_text(SCRIPTS[name])
    often = ["--once"] if name == "once" else ["--interval=1h"]
    command = [
        sys.executable, "-m", "shim", "manifest", f"--name={name}", f"--server={server.value}",
        f"--timeout={TIMEOUTS.get(name, '20m')}", f"--env=URL={SITE}/{name}/{server.value}",
        *often, *OPTIONS.get(name, []), str(script),
    ]  # fmt: skip
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if name != "repeated":
        return text
    # Again as soon as it has ended, which `khshim manifest` refuses to write.
    config_map, check = load(text)
    check["spec"]["runInterval"] = "10s"
    return yaml.safe_dump_all([config_map, check])


def bundled(name: str, server: Server) -> str:
    """Return what `khshim manifest` writes for a bundled script, with its rights."""
    command = [
        *(sys.executable, "-m", "shim", "manifest", name, f"--server={server.value}"),
        *(f"--namespace=checks-{server.value}", "--interval=1h", "--timeout=20m"),
        *BUNDLED[name],
    ]
    if name != "dns_check.py":
        command += API
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def derived(server: Server) -> str:
    """Return the example for a version with an image that has a script of its own."""
    _, check = load(EXAMPLES[server].read_text())
    check["metadata"]["name"] = "derived"
    pod = pod_spec(check)
    [container] = pod["containers"]
    container |= {"image": DERIVED, "env": [{"name": "URL", "value": f"{SITE}/inventory"}]}
    del container["args"], container["volumeMounts"], pod["volumes"]
    return yaml.safe_dump(check)


def all_manifests(server: Server, folder: Path) -> str:
    """Return everything that is applied before the tests begin, as one stream of YAML."""
    # A KuberhealthyJob that is there before v2 is the master never runs.
    documents = [generate(name, server, folder) for name in SCRIPTS if name != "once"]
    documents += [bundled(name, server) for name in BUNDLED]
    documents += [EXAMPLES[server].read_text(), derived(server)]
    return "---\n".join(documents)

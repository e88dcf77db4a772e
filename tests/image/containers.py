"""What the tests run containers with."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import shim
from shim.commands.fake_kuberhealthy import Receiver
from tests.support.khshim import NO_CHANGES
from tests.support.manifests import mount_config_map

PODMAN = ["podman", "--storage-driver", "overlay", "--runtime", "/usr/sbin/runc"]
LIMITS = ["--network=host", "--ulimit=nofile=1024:1024", "--ulimit=nproc=4096:4096"]
IMAGE = f"localhost/khshim:{shim.__version__}"
RUNTIME = f"{IMAGE}-runtime"
BARE, DERIVED, BASE = (
    "localhost/khshim-bare",
    "localhost/khshim-derived",
    "localhost/khshim-base",
)
# Images that know nothing of khshim, which is called localhost/khshim-in-… where it was copied
# into one: with an older C library than khshim's own, a newer one, another one, and without any.
ROOTS = ("bullseye", "forky", "musl", "busybox", "static")
# Those that have a shell.
WITH_SHELL = ROOTS[:-1]
HOME = "/opt/khshim"
# As the restricted Pod Security Standard has it, and nowhere to write.
RESTRICTED = [
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
]
# A kubelet asks the image for the uid alone, and the runtime looks its group up in the
# image's /etc/passwd: without an entry it is 0. podman would make an entry.
AS_A_KUBELET = ["--user=65532", "--passwd=false"]


class Cluster:
    """Runs containers against a receiver on loopback."""

    def __init__(self, receiver: Receiver, folder: Path, image: str = IMAGE) -> None:
        self.receiver = receiver
        self.folder = folder
        self.image = image
        self.name = f"khshim-test-{uuid4().hex[:12]}"

    def start(
        self,
        *args: str,
        image: str = "",
        options: Sequence[str] = (),
        env: Mapping[str, str] = NO_CHANGES,
    ) -> subprocess.Popen[bytes]:
        variables = {**self.receiver.environment(), **env}
        command = [*PODMAN, "run", "--rm", *LIMITS, f"--name={self.name}"]
        command += [f"--env={name}={value}" for name, value in variables.items()]
        command += [*options, image or self.image, *args]
        # conmon(8) leaves a file "oom" in its working directory.
        return subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, *args: str, **options: Any) -> tuple[bool, list[str]]:
        """Run a container to its end and return the report."""
        process = self.start(*args, **options)
        stdout, stderr = process.communicate()
        self.log = stderr.decode()
        self.output = stdout.decode()
        self.exit_status = process.returncode
        assert self.receiver.stored is not None, (self.exit_status, self.log)
        assert [reply.status for _, reply in self.receiver.requests] == [200]
        return self.receiver.stored

    def mount(self, text: str, name: str = "check.sh") -> str:
        """Return the option that mounts a script as a ConfigMap."""
        folder = mount_config_map({name: text}, self.folder / uuid4().hex)
        return f"--volume={folder}:/checks:ro"

    def event(self, name: str) -> dict[str, Any]:
        lines: list[dict[str, Any]] = [
            json.loads(line) for line in self.log.splitlines() if line.startswith("{")
        ]
        [found] = [line for line in lines if line["event"] == name]
        return found


def podman(*args: str) -> str:
    return subprocess.run([*PODMAN, *args], capture_output=True, check=True, text=True).stdout


def wait_for(process: subprocess.Popen[bytes], word: bytes) -> None:
    assert process.stdout is not None
    assert process.stdout.readline().strip() == word

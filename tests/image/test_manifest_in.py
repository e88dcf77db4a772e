"""`khshim manifest --in`: its pods, run as a kubelet would, in images that know nothing of khshim."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.image.containers import HOME, LIMITS, PODMAN, ROOTS, RUNTIME, Cluster, podman, wait_for
from tests.support.manifests import (
    Resource,
    assert_restricted,
    load,
    manifest,
    mount_config_map,
    pod_spec,
)

Make = Callable[..., Cluster]
WORDS = ["--name=greet", "--interval=5m", "--timeout=1m", f"--image={RUNTIME}"]


@pytest.fixture(scope="module")
def images() -> Iterator[dict[str, Path]]:
    """Where an image volume's files are, by the image's name."""
    yield {RUNTIME: Path(podman("image", "mount", RUNTIME).strip())}
    podman("image", "unmount", RUNTIME)


class Pod:
    """A pod that `khshim manifest` has written: its volumes, and how its containers are run."""

    def __init__(self, text: str, folder: Path, images: dict[str, Path]) -> None:
        config_map, check = load(text)
        self.spec = pod_spec(check)
        self._folder = folder
        self._images = images
        self._config = config_map["data"]
        self._volumes = {found["name"]: self._make(found) for found in self.spec["volumes"]}

    def _make(self, volume: Resource) -> Path:
        if "image" in volume:
            return self._images[volume["image"]["reference"]]
        folder = self._folder / uuid4().hex
        if "configMap" in volume:
            return mount_config_map(self._config, folder)
        folder.mkdir()
        folder.chmod(0o777)
        return folder

    def options(self, container: Resource) -> list[str]:
        """Return the options of podman that make a container as the kubelet makes it."""
        options = ["--passwd=false"]
        for mount in container["volumeMounts"]:
            source = self._volumes[mount["name"]] / mount.get("subPath", "")
            mode = "ro" if mount.get("readOnly") else "rw"
            options.append(f"--volume={source}:{mount['mountPath']}:{mode}")
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
        options += ["--read-only", "--read-only-tmpfs=false", "--security-opt=no-new-privileges"]
        options += [f"--cap-drop={name}" for name in context["capabilities"]["drop"]]
        if "runAsUser" in context:
            options.append(f"--user={context['runAsUser']}:{context.get('runAsGroup', 0)}")
        memory = container["resources"]["limits"]["memory"].replace("Mi", "m")
        options += [f"--memory={memory}", f"--memory-swap={memory}"]
        if "command" in container:
            [command] = container["command"]
            options.append(f"--entrypoint={command}")
        return options

    def initialize(self) -> None:
        """Run the init containers, each to its end."""
        for container in self.spec.get("initContainers", []):
            options = [*LIMITS, *self.options(container)]
            subprocess.run(
                [*PODMAN, "run", "--rm", *options, container["image"], *container["args"]],
                check=True,
            )

    def start(self, cluster: Cluster) -> subprocess.Popen[bytes]:
        """Start the check's container."""
        [container] = self.spec["containers"]
        env = {entry["name"]: entry["value"] for entry in container["env"]}
        options: Any = {"image": container["image"], "options": self.options(container)}
        return cluster.start(*container["args"], env=env, **options)


@pytest.fixture(params=[[], ["--image-volume"]], ids=["init container", "image volume"])
def make_pod(
    request: pytest.FixtureRequest, images: dict[str, Path], tmp_path: Path
) -> Callable[..., Pod]:
    def make(script: Path, root: str, *words: str) -> Pod:
        image = f"--in=localhost/khshim-root-{root}"
        written = manifest(str(script), *WORDS, image, "--user=65532", *request.param, *words)
        assert written.returncode == 0, written.stderr
        pod = Pod(written.stdout, tmp_path, images)
        if not request.param:  # the rules of the standard are older than image volumes
            assert_restricted(pod.spec)
        pod.initialize()
        return pod

    return make


@pytest.mark.parametrize("root", ROOTS)
def test_a_check_in_another_image(
    make_cluster: Make, make_pod: Callable[..., Pod], tmp_path: Path, root: str
) -> None:
    script = tmp_path / "greet.py"
    script.write_text(
        "import os, sys, tempfile\n"
        "tempfile.TemporaryFile()\n"
        "sys.exit(f\"{os.environ['GREETING']}, {sys.argv[1]}, from {os.getuid()}\")\n"
    )
    cluster = make_cluster()
    pod = make_pod(script, root, "--env=GREETING=hello", "--", "big world")
    stderr = pod.start(cluster).communicate()[1]
    assert cluster.receiver.stored == (False, ["hello, big world, from 65532"]), stderr.decode()


@pytest.mark.parametrize("root", ROOTS)
def test_stopping_it(
    make_cluster: Make, make_pod: Callable[..., Pod], tmp_path: Path, root: str
) -> None:
    script = tmp_path / "greet.py"
    script.write_text("import signal\nprint('ready', flush=True)\nsignal.pause()\n")
    cluster = make_cluster()
    process = make_pod(script, root).start(cluster)
    wait_for(process, b"ready")
    podman("kill", "--signal=TERM", cluster.name)
    process.communicate()
    assert cluster.receiver.stored is not None
    assert cluster.receiver.stored[1][0].startswith("khshim was told to stop by SIGTERM")


def test_the_tools_of_the_other_image(
    make_cluster: Make, make_pod: Callable[..., Pod], tmp_path: Path
) -> None:
    """A shell script with what that image has; khshim is not in its PATH, and none of its variables."""
    script = tmp_path / "greet.sh"
    script.write_text(
        "#!/bin/sh -e\ncommand -v dpkg-deb >&2\n! command -v khshim\nenv | grep KHSHIM >&2\n"
    )
    cluster = make_cluster()
    stderr = make_pod(script, "bullseye").start(cluster).communicate()[1]
    assert cluster.receiver.stored == (False, ["/usr/bin/dpkg-deb"]), stderr.decode()
    assert HOME.encode() not in stderr

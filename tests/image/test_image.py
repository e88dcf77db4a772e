"""The image, as real containers: `make test-image` builds what these tests run."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

import shim
from tests.image.containers import (
    AS_A_KUBELET,
    BARE,
    BASE,
    DERIVED,
    IMAGE,
    LIMITS,
    PODMAN,
    RESTRICTED,
    Cluster,
    podman,
    wait_for,
)
from tests.support.khshim import KHSHIM
from tests.support.manifests import (
    ROOT,
    Resource,
    expand,
    load,
    manifest,
    mount_config_map,
    pod_spec,
)


def in_image(
    command: str, image: str = IMAGE, options: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    entry = ["--entrypoint=/bin/bash", *options, image, "-c", command]
    return subprocess.run(
        [*PODMAN, "run", "--rm", *LIMITS, *entry],
        capture_output=True,
        check=False,
        text=True,
    )


def test_configuration() -> None:
    [image] = json.loads(podman("image", "inspect", IMAGE))
    config = image["Config"]
    assert config["Entrypoint"] == ["/opt/khshim/bin/khshim"]
    assert config["User"] == "65532:65532"
    assert not config.get("Cmd")
    # Nothing of the machine that built it.
    assert {variable.partition("=")[0] for variable in config["Env"]} == {"PATH"}
    labels = config["Labels"]
    for name in ("title", "description", "version", "source", "licenses"):
        assert f"org.opencontainers.image.{name}" in labels
    assert labels["org.opencontainers.image.version"] == shim.__version__


def test_what_is_in_it_and_what_is_not() -> None:
    result = in_image(
        "command -v bash curl python3; curl --version | head -1;"
        " ls /etc/ssl/certs/ca-certificates.crt; id -u; python3 -m pip --version;"
        " command -v pip gcc cc make; ls -d /src /packages /build /var/lib/apt/lists/*"
    )
    assert "/usr/bin/bash\n/usr/bin/curl\n/opt/khshim/bin/python3\ncurl " in result.stdout
    assert result.stdout.endswith("/etc/ssl/certs/ca-certificates.crt\n65532\n")
    assert result.stderr.count("No module named pip") == 1


@pytest.mark.parametrize("image", [IMAGE, BARE, DERIVED])
def test_no_program_gives_its_user_more_rights(image: str) -> None:
    find = "find / -xdev -type f -perm /6000"
    assert "/su\n" in in_image(find, BASE, ["--user=0"]).stdout
    result = in_image(find, image, ["--user=0"])
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_help_and_version() -> None:
    assert "Example:" in podman("run", "--rm", *LIMITS, IMAGE, "--help")
    assert shim.__version__ in podman("run", "--rm", *LIMITS, IMAGE, "--version")


def test_try_inside() -> None:
    output = podman(
        "run",
        "--rm",
        *LIMITS,
        IMAGE,
        "try",
        "disk_space.sh",
    )
    assert "\nOK   reported after " in output


def test_its_user_has_a_name_and_a_group_of_its_own(cluster: Cluster) -> None:
    mount = cluster.mount(
        "import getpass, grp, os\n"
        "print(getpass.getuser(), grp.getgrgid(os.getgid()).gr_name)\n"
        "print(os.path.expanduser('~'), flush=True)\n"
        "os.system('whoami; id -gn')\n",
        "check.py",
    )
    options = [mount, *RESTRICTED, *AS_A_KUBELET]
    assert cluster.run("check.py", options=options) == (True, [])
    assert cluster.output == "khshim khshim\n/tmp\nkhshim\nkhshim\n"


@pytest.fixture
def inventory() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"nodes": [{"name": "a", "up": true}, {"name": "b", "up": false}]}')

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


def test_the_derived_image(cluster: Cluster, inventory: str) -> None:
    report = cluster.run(image=DERIVED, options=RESTRICTED, env={"URL": inventory})
    assert report == (False, ["node b is down"])


def test_a_bundled_script_by_its_name_alone(cluster: Cluster, inventory: str) -> None:
    env = {"SHIM_SCRIPT": "http_check.sh", "URL": inventory}
    assert cluster.run(options=RESTRICTED, env=env) == (True, [])


def pod_of(cluster: Cluster, check: Resource, config_map: Resource) -> tuple[list[str], Any]:
    """Return how a check's pod is run, as the kubelet would: arguments, and the options to it."""
    pod = pod_spec(check)
    assert set(pod) == {
        "restartPolicy",
        "automountServiceAccountToken",
        "securityContext",
        "containers",
        "volumes",
    }
    [container] = pod["containers"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    options = list(AS_A_KUBELET)
    for mount in container["volumeMounts"]:
        volume = volumes.pop(mount["name"])
        if "configMap" in volume:
            assert volume["configMap"] == {"name": config_map["metadata"]["name"]}
            folder = mount_config_map(config_map["data"], cluster.folder / uuid4().hex)
            mode = "ro" if mount.get("readOnly") else "rw"
            options.append(f"--volume={folder}:{mount['mountPath']}:{mode}")
        else:
            assert volume["emptyDir"]["medium"] == "Memory"
            size = volume["emptyDir"]["sizeLimit"].replace("Mi", "m")
            options.append(
                f"--mount=type=tmpfs,dst={mount['mountPath']},tmpfs-size={size},tmpfs-mode=0777"
            )
    assert not volumes
    if "workingDir" in container:
        options.append(f"--workdir={container['workingDir']}")
    context = container["securityContext"]
    if context["readOnlyRootFilesystem"]:
        options += ["--read-only", "--read-only-tmpfs=false"]
    if not context["allowPrivilegeEscalation"]:
        options.append("--security-opt=no-new-privileges")
    options += [f"--cap-drop={name}" for name in context["capabilities"]["drop"]]
    memory = container["resources"]["limits"]["memory"].replace("Mi", "m")
    options += [f"--memory={memory}", f"--memory-swap={memory}"]
    [image] = json.loads(podman("image", "inspect", IMAGE))
    if pod["securityContext"]["runAsNonRoot"]:
        assert image["Config"]["User"].partition(":")[0] == "65532"
    assert f"localhost/{container['image']}" == IMAGE
    variables = {entry["name"]: entry["value"] for entry in container.get("env", [])}
    env = {name: expand(value, variables) for name, value in variables.items()}
    args = [expand(arg, env) for arg in container.get("args", [])]
    return args, {"options": options, "env": env}


def run_pod(
    cluster: Cluster, check: Resource, config_map: Resource, *extra: str
) -> tuple[bool, list[str]]:
    args, options = pod_of(cluster, check, config_map)
    options["options"] += extra
    return cluster.run(*args, **options)


@pytest.mark.parametrize(("name", "server"), [("khcheck.yaml", "v2"), ("healthcheck.yaml", "v3")])
@pytest.mark.parametrize("resolves", [True, False])
def test_the_example_manifests(
    make_cluster: Callable[..., Cluster], name: str, server: str, resolves: bool
) -> None:
    config_map, check = load((ROOT / name).read_text())
    host = ["--add-host=kubernetes.default.svc:10.96.0.1"] if resolves else []
    report = run_pod(make_cluster(server), check, config_map, *host)
    assert report == (
        (True, []) if resolves else (False, ["kubernetes.default.svc does not resolve"])
    )


def generate(folder: Path, text: str, server: str, *words: str) -> list[Resource]:
    """Return the resources that `khshim manifest` writes for a script: ConfigMap and check."""
    script = folder / "greet.sh"
    script.write_text(text)
    command = ["manifest", str(script), "--name=greet", "--interval=5m", "--timeout=1m"]
    written = subprocess.run(
        [*KHSHIM, *command, f"--server={server}", *words],
        capture_output=True,
        check=True,
        text=True,
    )
    return load(written.stdout)


@pytest.mark.parametrize("server", ["v2", "v3"])
def test_generated_manifests(
    make_cluster: Callable[..., Cluster], tmp_path: Path, server: str
) -> None:
    text = '#!/bin/bash\necho "$GREETING, $1" >&2\nexit 1\n'
    words = ["--env=GREETING=hello $(X) $$", "--", "big $(GREETING) $$world"]
    config_map, check = generate(tmp_path, text, server, *words)
    report = run_pod(make_cluster(server), check, config_map)
    assert report == (False, ["hello $(X) $$, big $(GREETING) $$world"])


def test_the_image_writes_manifests_itself(tmp_path: Path) -> None:
    """With no Python on the machine: a script on stdin, a mounted folder, a bundled script."""
    words = ["--interval=5m", "--timeout=1m"]
    script = tmp_path / "greet.sh"
    script.write_text("#!/bin/sh\necho hello\n")

    def write(*words: str, options: Sequence[str] = ()) -> str:
        command = [*PODMAN, "run", "--rm", "-i", *LIMITS, *RESTRICTED, *options, IMAGE, *words]
        with script.open() as file:
            return subprocess.run(
                command, stdin=file, capture_output=True, text=True, check=True
            ).stdout

    assert write("manifest", "-", "--name=greet", *words) == manifest_of(script, *words).replace(
        "greet.sh", "greet"
    )
    mounted = [f"--volume={tmp_path}:/work:ro", "--workdir=/work"]
    tmp_path.chmod(0o755)
    assert write("manifest", "greet.sh", *words, options=mounted) == manifest_of(script, *words)
    bundled = ROOT / "scripts" / "http_check.sh"
    assert write("manifest", "http_check.sh", *words) == manifest_of(bundled, *words)


def manifest_of(script: Path, *words: str) -> str:
    """Return what `khshim manifest` writes here."""
    result = manifest(str(script), *words)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_script_finds_the_files_beside_it(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "lib.sh").write_text('greet() { echo "$1" >&2; }\n')
    text = '#!/bin/sh\n# khshim: file=lib.sh\n. ./lib.sh\n. "$(dirname "$0")/lib.sh"\ngreet hi\nexit 1\n'
    config_map, check = generate(tmp_path, text, "v3")
    assert run_pod(cluster, check, config_map) == (False, ["hi"])


def test_a_generated_pod_can_write_to_tmp_alone(cluster: Cluster, tmp_path: Path) -> None:
    text = (
        "#!/bin/bash -e\n"
        "file=$(mktemp)\n"
        "head -c 15M /dev/zero >$file\n"
        "rm $file\n"
        "head -c 17M /dev/zero 2>&1 >$file | grep -o 'No space left on device'\n"
        "for folder in / /checks /var/tmp /home; do\n"
        "    [ ! -w $folder ] || echo $folder\n"
        "done\n"
        "whoami; id -g; df --output=size /tmp | tail -n 1\n"
    )
    config_map, check = generate(tmp_path, text, "v3")
    assert run_pod(cluster, check, config_map) == (True, [])
    assert cluster.output.split() == [
        *"No space left on device".split(),
        "khshim",
        "65532",
        "16384",
    ]


def examine_in_pod(cluster: Cluster, check: Resource, config_map: Resource) -> dict[str, Any]:
    """Return what `khshim doctor` finds in a running pod whose script says ready and waits."""
    args, options = pod_of(cluster, check, config_map)
    process = cluster.start(*args, **options)
    wait_for(process, b"ready")
    found = subprocess.run(
        [*PODMAN, "exec", cluster.name, "khshim", "doctor", "--json"],
        capture_output=True,
        check=False,
        text=True,
    )
    podman("kill", "--signal=TERM", cluster.name)
    process.communicate()
    assert found.returncode == 0, found.stdout + found.stderr
    return {finding["what"]: finding["found"] for finding in json.loads(found.stdout)}


WAITS = "#!/bin/sh\necho ready\nexec sleep 1000\n"


def test_the_doctor_in_a_generated_pod(cluster: Cluster, tmp_path: Path) -> None:
    config_map, check = generate(tmp_path, WAITS, "v3", "--", "a b")
    found = examine_in_pod(cluster, check, config_map)
    assert found["script"] == "/checks/greet.sh"
    assert found["settings"] == "all are understood"


@pytest.mark.parametrize(
    "name", ["khcheck.yaml", "healthcheck.yaml", "examples/kustomize/healthcheck.yaml"]
)
def test_the_doctor_in_the_pods_of_the_examples(cluster: Cluster, name: str) -> None:
    check = load((ROOT / name).read_text())[-1]
    pod = pod_spec(check)
    # Their own scripts would have ended before anybody could look.
    [config_map] = [volume["configMap"] for volume in pod["volumes"] if "configMap" in volume]
    [container] = pod["containers"]
    env = {entry["name"]: entry["value"] for entry in container["env"]}
    script = Path(env.get("SHIM_SCRIPT") or container["args"][0]).name
    found = examine_in_pod(cluster, check, {"metadata": config_map, "data": {script: WAITS}})
    assert found["script"] == f"/checks/{script}"


def test_the_kustomization(cluster: Cluster) -> None:
    folder = ROOT / "examples" / "kustomize"
    [kustomization] = load((folder / "kustomization.yaml").read_text())
    [check] = load((folder / "healthcheck.yaml").read_text())
    [generator] = kustomization["configMapGenerator"]
    data = {Path(file).name: (folder / file).read_text() for file in generator["files"]}
    config_map = {"metadata": {"name": generator["name"]}, "data": data}
    assert run_pod(cluster, check, config_map) == (True, [])

"""khshim in images of all kinds: the same tests in each of them, as real containers."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
import trustme

from tests.image.containers import (
    AS_A_KUBELET,
    PODMAN,
    RESTRICTED,
    WITH_SHELL,
    Cluster,
    podman,
    wait_for,
)
from tests.support.manifests import ROOT
from tests.support.servers import name_server, relay

Make = Callable[..., Cluster]


def folder_with(cluster: Cluster, files: dict[str, str]) -> Path:
    folder = cluster.folder / uuid4().hex
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("args", "env"),
    [
        (["check.py", "a b", "c"], {}),
        (["/checks/check.py", "a b", "c"], {}),
        (["run", "check.py", "a b", "c"], {}),
        ([], {"SHIM_SCRIPT": "check.py", "SHIM_ARGS": "'a b' c"}),
        ([], {"SHIM_SCRIPT": "/checks/check.py", "SHIM_ARGS": "'a b' c"}),
    ],
)
def test_args_and_environment(anywhere: Cluster, args: list[str], env: dict[str, str]) -> None:
    mount = anywhere.mount("import sys\nprint('|'.join(sys.argv[1:]))\n", "check.py")
    assert anywhere.run(*args, env=env, options=[mount]) == (True, [])
    assert anywhere.output == "a b|c\n"


def test_a_config_maps_file_is_not_executable(anywhere: Cluster) -> None:
    text = "import os, sys\nassert not os.access(sys.argv[0], os.X_OK)\nsys.exit('as it should')\n"
    mount = anywhere.mount(text, "check.py")
    assert anywhere.run("check.py", options=[mount]) == (False, ["as it should"])
    assert anywhere.output == ""


@pytest.mark.parametrize("root", WITH_SHELL)
def test_a_shell_script(make_cluster: Make, root: str) -> None:
    cluster = make_cluster(image=f"localhost/khshim-in-{root}")
    mount = cluster.mount('#!/bin/sh -eu\necho out\necho "$1" >&2\nfalse\necho not reached\n')
    assert cluster.run("check.sh", "a b", options=[mount]) == (False, ["a b"])
    assert cluster.output == "out\n"


def test_a_folder_of_scripts(anywhere: Cluster) -> None:
    """Its runner is the same interpreter, with khshim's own libraries and none of the image's."""
    hang = "import time\nprint('waiting', flush=True)\ntime.sleep(1000)\n"
    folder = folder_with(
        anywhere,
        {
            "a.py": "import os, sys\nsys.exit(os.environ['LD_PRELOAD'])\n",
            "b.py": hang,
            "c.py": "import shim\nprint('fine')\n",
        },
    )
    env = {"SHIM_TIMEOUT": "2s", "SHIM_METRICS_FILE": "/x", "LD_PRELOAD": "/no/such.so"}
    options = [f"--volume={folder}:/checks:ro", *RESTRICTED, *AS_A_KUBELET]
    ok, errors = anywhere.run("/checks", env=env, options=options)
    assert not ok
    assert errors[0] == "2 of 3 scripts failed: a.py, b.py."
    assert "a.py: /no/such.so" in errors
    assert any("the limit that SHIM_TIMEOUT sets" in error for error in errors)
    assert anywhere.event("folder_ended")["passed"] == 1


def test_a_script_that_the_image_cannot_run(make_cluster: Make) -> None:
    cluster = make_cluster(image="localhost/khshim-in-static")
    mount = cluster.mount("#!/bin/bash\nexit 0\n")
    ok, [error] = cluster.run("check.sh", options=[mount])
    assert not ok and "its interpreter /bin/bash does not exist here" in error


@pytest.mark.parametrize("root", ["musl", "static"])
def test_a_program(make_cluster: Make, root: str) -> None:
    cluster = make_cluster(image=f"localhost/khshim-in-{root}")
    words = ["/probe", "3", "one", "two words"]
    assert cluster.run(*words, options=RESTRICTED) == (False, ["one", "two words"])
    assert cluster.event("script_exited")["exit_code"] == 3


def test_python_scripts_can_use_the_library(anywhere: Cluster) -> None:
    mount = anywhere.mount("import shim\nprint(shim.deadline() > 0)\n", "check.py")
    assert anywhere.run("check.py", options=[mount]) == (True, [])
    assert anywhere.output == "True\n"


def test_a_bundled_check_in_python(anywhere: Cluster) -> None:
    """By its name, and as a file of a ConfigMap, with khshim's own interpreter and modules."""
    script = "certificate_expiry.py"
    mount = anywhere.mount((ROOT / "scripts" / script).read_text(), script)
    error = "the variable holds no certificate in PEM form, or one that breaks off"
    env = {"CERTIFICATE": "none"}
    assert anywhere.run(script, env=env, options=[mount, *RESTRICTED]) == (False, [error])


def test_a_bundled_check_by_its_name(anywhere: Cluster) -> None:
    error = "this is no pod: elsewhere start kubectl proxy and set KUBERNETES_API="
    ok, [line] = anywhere.run("node_ready.py", options=RESTRICTED)
    assert not ok and error in line


def test_the_useful_part_of_the_standard_library(anywhere: Cluster) -> None:
    mount = anywhere.mount(
        "import argparse, asyncio, bz2, csv, ctypes, datetime, decimal, email, hashlib\n"
        "import http.client, ipaddress, json, logging, lzma, multiprocessing, re, socket, ssl\n"
        "import statistics, subprocess, threading, time, unittest, urllib.request, uuid\n"
        "import xml.etree.ElementTree, zipfile, zlib, zoneinfo, prometheus_client, urllib3\n"
        "assert ssl.create_default_context().get_ca_certs()\n"
        "assert ctypes.CDLL(None).getpid() > 1\n"
        "print('done')\n",
        "check.py",
    )
    assert anywhere.run("check.py", options=[mount, *RESTRICTED]) == (True, [])
    assert anywhere.output == "done\n"


SPINS = """\
import subprocess, sys
SPIN = '''
import threading
def work():
    while True:
        pass
threading.Thread(target=work, daemon=True).start()
'''
for _ in range(10):
    subprocess.run([sys.executable, "-c", SPIN], check=True)
"""


def test_a_thread_that_is_left_at_the_end(anywhere: Cluster) -> None:
    """The C library ends it by a library of the compiler's, which nothing names as needed."""
    mount = anywhere.mount(SPINS, "check.py")
    assert anywhere.run("check.py", options=[mount]) == (True, [])


@pytest.mark.parametrize("root", WITH_SHELL)
def test_the_python_of_the_image_comes_first(make_cluster: Make, root: str) -> None:
    cluster = make_cluster(image=f"localhost/khshim-in-{root}")
    theirs = folder_with(cluster, {"python3": '#!/bin/sh\necho "the Python of the image: $*"\n'})
    (theirs / "python3").chmod(0o755)
    mounts = [f"--volume={theirs}:/usr/local/bin:ro", cluster.mount("print()\n", "check.py")]
    assert cluster.run("check.py", "x", options=mounts) == (True, [])
    assert cluster.output == "the Python of the image: /checks/check.py x\n"


def test_restricted_with_an_arbitrary_user(anywhere: Cluster) -> None:
    mount = anywhere.mount(
        "import os\n"
        "print(os.getuid())\n"
        "for folder in ('/', '/tmp', '/opt/khshim', '/opt/khshim/lib'):\n"
        "    try:\n"
        "        open(folder + '/x', 'w')\n"
        "        print(folder, 'can be written to')\n"
        "    except OSError:\n"
        "        pass\n",
        "check.py",
    )
    options = [mount, *RESTRICTED, "--user=1000680000:0", "--memory=96m"]
    assert anywhere.run("check.py", options=options) == (True, [])
    assert anywhere.output == "1000680000\n"


def test_variables_for_the_images_own_loader_and_libraries(anywhere: Cluster) -> None:
    """They do not reach khshim, and the script gets them as they are, and nothing else."""
    theirs = {
        "PYTHONHOME": "/nowhere",
        "PYTHONPATH": "/checks",
        "PYTHONVERBOSE": "1",
        "LD_PRELOAD": "/nowhere/libjemalloc.so",
        "LD_LIBRARY_PATH": "/checks",
        "LD_DEBUG": "libs",
        "GLIBC_TUNABLES": "glibc.malloc.check=3",
        "OPENSSL_CONF": "/checks/openssl.cnf",
        "LANG": "de_DE.UTF-8",
    }
    rubbish = ["libc.so.6", "libm.so.6", "libssl.so.3", "openssl.cnf", "os.py", "urllib3.py"]
    folder = folder_with(anywhere, dict.fromkeys(rubbish, "\1"))
    # A static program: it has no loader that would read any of this.
    options = [f"--volume={folder}:/checks:ro", "--volume=/bin/busybox:/busybox:ro"]
    # And a file that its own loader reads.
    preload = folder_with(anywhere, {"ld.so.preload": "/nowhere/libpreload.so\n"})
    options.append(f"--volume={preload}/ld.so.preload:/etc/ld.so.preload:ro")
    assert anywhere.run("/busybox", "env", options=options, env=theirs) == (True, [])
    # What a loader or an interpreter has to say would be between these.
    assert all(line.startswith('{"timestamp"') for line in anywhere.log.splitlines()), anywhere.log
    environ = dict(line.split("=", 1) for line in anywhere.output.splitlines())
    added = environ.keys() - theirs.keys() - container_variables(anywhere.image).keys()
    assert added == {
        "KH_CHECK_RUN_DEADLINE",
        "KH_POD_NAMESPACE",
        "SHIM_DEADLINE",
        "SHIM_METRICS_FILE",
    }
    expected = {**container_variables(anywhere.image), **theirs}
    assert {name: environ[name] for name in expected.keys() - {"HOSTNAME"}} == {
        name: value for name, value in expected.items() if name != "HOSTNAME"
    }


def container_variables(image: str) -> dict[str, str]:
    """Return the variables of a container of `image` in which khshim has no part."""
    options = ["--rm", "--network=host", "--ulimit=nofile=1024:1024", "--ulimit=nproc=4096:4096"]
    options += ["--volume=/bin/busybox:/busybox:ro", "--entrypoint=/busybox"]
    output = podman("run", *options, image, "env")
    return dict(line.split("=", 1) for line in output.splitlines())


def test_khshim_uses_no_file_of_the_image(anywhere: Cluster) -> None:
    """Everything that PID 1 has mapped, once OpenSSL is among it, is its own."""
    mount = anywhere.mount(
        "files = set()\n"
        "while not any('libssl' in name for name in files):\n"
        "    for line in open('/proc/1/maps'):\n"
        "        name = line.split(None, 5)[5:]\n"
        "        files |= {name[0].strip()} if name and name[0].startswith('/') else set()\n"
        "print(*sorted(files), sep='\\n')\n",
        "check.py",
    )
    assert anywhere.run("check.py", options=[mount]) == (True, [])
    files = anywhere.output.splitlines()
    assert "/opt/khshim/bin/python3" in files and "/opt/khshim/lib/libc.so.6" in files
    assert [name for name in files if not name.startswith("/opt/khshim/")] == []


@pytest.mark.parametrize("locale", ["C", "de_DE.UTF-8"])
def test_what_is_not_ascii(anywhere: Cluster, locale: str) -> None:
    text = "import os\nos.write(2, 'Grüße, 世界\\n'.encode())\nexit(1)\n"
    mount = anywhere.mount(text, "check.py")
    report = anywhere.run("check.py", options=[mount], env={"LC_ALL": locale})
    assert report == (False, ["Grüße, 世界"])


def test_pid_1_reaps_a_hundred_orphans(anywhere: Cluster) -> None:
    # A zombie stays in /proc; khshim must get rid of them while the script runs.
    mount = anywhere.mount(
        "import os, pathlib\n"
        "for _ in range(100):\n"
        "    if os.fork() == 0:\n"
        "        os.setsid()\n"
        "        if os.fork() == 0:\n"
        "            os._exit(0)\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        "processes = {1, os.getpid()}\n"
        "while {int(p.name) for p in pathlib.Path('/proc').glob('[0-9]*')} != processes:\n"
        "    pass\n"
        "print('none left', flush=True)\n"
        "os._exit(3)\n",
        "check.py",
    )
    ok, _ = anywhere.run("check.py", options=[mount])
    assert not ok and anywhere.output == "none left\n"
    assert anywhere.event("script_exited")["exit_code"] == 3


STOPS = """\
import signal, sys
def stop(*_):
    sys.stderr.write("stopping\\n")
    sys.exit(5)
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
while True:
    signal.pause()
"""
IGNORES = """\
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
while True:
    signal.pause()
"""


def test_stop(anywhere: Cluster) -> None:
    process = anywhere.start("check.py", options=[anywhere.mount(STOPS, "check.py")])
    wait_for(process, b"ready")
    podman("kill", "--signal=TERM", anywhere.name)
    anywhere.log = process.communicate()[1].decode()
    assert anywhere.receiver.stored is not None
    ok, errors = anywhere.receiver.stored
    assert not ok and errors[0].startswith("khshim was told to stop by SIGTERM")
    assert errors[1] == "stopping"
    # The log has both moments: the signal's, and the report's acceptance.
    lines = [json.loads(line) for line in anywhere.log.splitlines() if line.startswith("{")]
    at = {line["event"]: line["timestamp"] for line in lines}
    spent = float(at["report_accepted"][17:-1]) - float(at["signal_forwarded"][17:-1])
    assert spent % 60 < 1


def test_a_script_that_ignores_sigterm(anywhere: Cluster) -> None:
    mount = anywhere.mount(IGNORES, "check.py")
    process = anywhere.start("check.py", options=[mount], env={"SHIM_GRACE_PERIOD": "500ms"})
    wait_for(process, b"ready")
    podman("kill", "--signal=TERM", anywhere.name)
    process.communicate()
    assert anywhere.receiver.stored is not None
    error = anywhere.receiver.stored[1][0]
    assert re.search("did not end within 0.5[0-9] s of SIGTERM and was killed", error)


def test_sigterm_before_anything_else(anywhere: Cluster) -> None:
    """PID 1 gets SIGTERM while its interpreter starts: lost or not, there is a report."""
    mount = anywhere.mount("exit(0)\n", "check.py")
    process = anywhere.start("check.py", options=[mount, "--init=false"])
    subprocess.run([*PODMAN, "kill", "--signal=TERM", anywhere.name], capture_output=True)
    process.communicate()
    assert anywhere.receiver.stored is not None


@pytest.mark.parametrize("server", ["v2", "v3"])
def test_the_deadline(make_cluster: Make, image: str, server: str) -> None:
    cluster = make_cluster(server, timeout=9 if server == "v3" else 15, image=image)
    mount = cluster.mount(IGNORES, "check.py")
    ok, errors = cluster.run("check.py", options=[mount], env={"SHIM_GRACE_PERIOD": "500ms"})
    assert not ok and errors[0].startswith("Timed out: the script was still running after")
    assert not cluster.receiver.overwritten()
    assert cluster.event("report_accepted")["time_left_s"] > 1


def test_an_escaped_descendant_does_not_hold_the_container(anywhere: Cluster) -> None:
    mount = anywhere.mount(
        "import os, signal\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "    while True:\n"
        "        signal.pause()\n"
        "exit('failed')\n",
        "check.py",
    )
    assert anywhere.run("check.py", options=[mount]) == (False, ["failed"])
    assert anywhere.event("script_exited")["duration_s"] < 10


def test_killed_by_the_memory_limit(anywhere: Cluster) -> None:
    mount = anywhere.mount("x = bytearray(200_000_000)\n", "check.py")
    options = [mount, "--memory=64m", "--memory-swap=64m"]
    ok, errors = anywhere.run("check.py", options=options)
    assert not ok and errors[0].startswith("The script died of SIGKILL")
    assert errors[1].startswith(
        "The kernel killed a process here because the memory limit of 64 MiB was reached"
    )
    assert anywhere.exit_status == 0


def authority_for(cluster: Cluster, host: str) -> tuple[Path, ssl.SSLContext]:
    """Return a file with a new authority, and the context of a server that it vouches for."""
    authority = trustme.CA()
    path = folder_with(cluster, {"ca.pem": ""}) / "ca.pem"
    authority.cert_pem.write_to_path(path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    return path, context


@pytest.mark.parametrize(
    ("mounted_at", "env"),
    [
        ("/house/ca.pem", {"SHIM_CA_FILE": "/house/ca.pem"}),
        ("/house/ca.pem", {"SSL_CERT_FILE": "/house/ca.pem"}),
        ("/etc/ssl/certs/ca-certificates.crt", {}),
    ],
)
def test_tls_with_an_authority_of_the_house(
    anywhere: Cluster, mounted_at: str, env: dict[str, str]
) -> None:
    ca_file, context = authority_for(anywhere, "localhost")
    options = [f"--volume={ca_file}:{mounted_at}:ro", anywhere.mount("print()\n", "check.py")]
    with relay(anywhere.receiver.endpoint.port, context=context) as port:
        env = {**env, "KH_REPORTING_URL": f"https://localhost:{port}/check"}
        assert anywhere.run("check.py", options=options, env=env) == (True, [])


def test_tls_with_an_unknown_authority(make_cluster: Make, image: str) -> None:
    cluster = make_cluster(timeout=5, image=image)
    _, context = authority_for(cluster, "localhost")
    mount = cluster.mount("print()\n", "check.py")
    with relay(cluster.receiver.endpoint.port, context=context) as port:
        env = {"KH_REPORTING_URL": f"https://localhost:{port}/check"}
        process = cluster.start("check.py", options=[mount], env=env)
        cluster.log = process.communicate()[1].decode()
    assert process.returncode == 69 and cluster.receiver.stored is None
    assert "TLS failed" in cluster.event("report_undelivered")["message"]


SEARCH = "check.svc.cluster.local svc.cluster.local cluster.local"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("hosts", ["", "files myhostname mdns4_minimal [NOTFOUND=return] dns"])
def test_names_as_in_a_cluster(anywhere: Cluster, address: str, hosts: str) -> None:
    """Search domains, ndots:5, IPv6; without nsswitch.conf, and with one that names other modules."""
    with (
        name_server({"kuberhealthy.house.svc.cluster.local": address}) as names,
        relay(anywhere.receiver.endpoint.port, address) as port,
    ):
        config = f"nameserver {names.address}\nsearch {SEARCH}\noptions ndots:5\n"
        files = {"resolv.conf": config, "nsswitch.conf": f"hosts: {hosts}\n"}
        folder = folder_with(anywhere, files)
        options = [f"--volume={folder}/resolv.conf:/etc/resolv.conf:ro"]
        if hosts:
            options.append(f"--volume={folder}/nsswitch.conf:/etc/nsswitch.conf:ro")
        options.append(anywhere.mount("print()\n", "check.py"))
        env = {"KH_REPORTING_URL": f"http://kuberhealthy.house:{port}/check"}
        assert anywhere.run("check.py", options=options, env=env) == (True, [])
    asked = list(dict.fromkeys(name for name, _ in names.questions))
    assert asked == [
        "kuberhealthy.house.check.svc.cluster.local",
        "kuberhealthy.house.svc.cluster.local",
    ]
    assert {kind for _, kind in names.questions} == {"A", "AAAA"}

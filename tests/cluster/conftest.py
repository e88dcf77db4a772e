"""The cluster with both Kuberhealthy and all checks, made once for all tests."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

import shim
from shim.kuberhealthy import Server
from tests.cluster.checks import DERIVED, KUSTOMIZATION, OTHER, all_manifests
from tests.cluster.definitions import definitions
from tests.cluster.kuberhealthy import HOSTS, Kuberhealthy
from tests.cluster.kubernetes import Kubernetes
from tests.cluster.measured import Measured
from tests.cluster.site import Site
from tests.kuberhealthy.build import VERSIONS, kuberhealthy
from tests.support.manifests import ROOT

LOGS = ROOT / "build" / "cluster"
# An image without a registry in its name, as in the manifests, means this one.
IMAGES = {
    f"localhost/khshim:{shim.__version__}": f"docker.io/library/khshim:{shim.__version__}",
    f"localhost/khshim:{shim.__version__}-runtime": f"docker.io/library/khshim:{shim.__version__}-runtime",
    "localhost/khshim-derived:latest": f"docker.io/library/{DERIVED}",
    "localhost/khshim-root-busybox:latest": f"docker.io/library/{OTHER}",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", action="store_true", help="write tests/recorded/kubernetes.json")


def pytest_configure(config: pytest.Config) -> None:
    if "KHSHIM_CLUSTER" not in os.environ:
        raise pytest.UsageError("these tests need namespaces of their own: make test-cluster")
    if config.getoption("--compatibility"):
        config.pluginmanager.register(Measured())


@pytest.fixture(scope="session")
def kubernetes() -> Iterator[Kubernetes]:
    LOGS.mkdir(parents=True, exist_ok=True)
    for log in LOGS.iterdir():
        log.unlink()
    kubernetes = Kubernetes(LOGS)
    try:
        kubernetes.start(Path(os.environ["KHSHIM_IMAGES"]), HOSTS)
        for name, other in IMAGES.items():
            kubernetes.command("ctr", "--namespace=k8s.io", "images", "tag", name, other)
        yield kubernetes
    finally:
        kubernetes.stop()


@pytest.fixture(scope="session")
def versions(kubernetes: Kubernetes) -> str:
    """Return what the cluster consists of, in words."""
    node = json.loads(kubernetes.kubectl("get", "node/node", "--output=json"))
    info = node["status"]["nodeInfo"]
    runtime = info["containerRuntimeVersion"].replace("://", " ")
    control_groups = "v2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "v1"
    return f"Kubernetes {info['kubeletVersion']}, {runtime}, cgroup {control_groups}"


@pytest.fixture(scope="session")
def site(kubernetes: Kubernetes) -> Iterator[Site]:
    with Site() as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield site
        site.shutdown()


@pytest.fixture(scope="session")
def servers(
    kubernetes: Kubernetes, site: Site, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[Server, Kuberhealthy]:
    """Start both servers and all their checks, which run while the tests ask for one after the other."""
    servers = {}
    for server in Server:
        servers[server] = Kuberhealthy(server, kuberhealthy(server), kubernetes)
        servers[server].install(definitions(server))
        servers[server].start()
    for server in Server:
        servers[server].apply(all_manifests(server, tmp_path_factory.mktemp("checks")))
    kubernetes.kubectl(
        "apply", f"--namespace={servers[Server.V3].namespace}", f"--kustomize={KUSTOMIZATION}"
    )
    return servers


@pytest.fixture(params=list(Server), ids=lambda server: server.value)
def server(
    request: pytest.FixtureRequest,
    servers: Mapping[Server, Kuberhealthy],
    versions: str,
    record_property: Callable[[str, object], None],
) -> Kuberhealthy:
    record_property("against", f"Kuberhealthy {VERSIONS[request.param]}")
    record_property("on", versions)
    return servers[request.param]

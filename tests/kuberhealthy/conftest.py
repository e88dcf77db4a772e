"""Fixtures: the real servers, each with all the checks of these tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest

from shim.kuberhealthy import Server
from tests.kuberhealthy.build import VERSIONS
from tests.kuberhealthy.cluster import IDLE, Check, Cluster
from tests.kuberhealthy.scripts import checks, checks_with_timeouts

Clusters = dict[Server, Cluster]
StartClusters = Callable[[str, Callable[[Path], Sequence[Check]]], AbstractContextManager[Clusters]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--servers", default="v3 v2", help="release lines to test, such as 'v3'")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "only(server): a test of one release line")


def servers(config: pytest.Config) -> list[Server]:
    return [Server(name) for name in config.getoption("--servers").split()]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "server" in metafunc.fixturenames:
        only = metafunc.definition.get_closest_marker("only")
        chosen = [server for server in servers(metafunc.config) if not only or server in only.args]
        metafunc.parametrize("server", chosen, ids=[server.value for server in chosen])


@pytest.fixture(autouse=True)
def _against(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    """Tell which version a test's result is about."""
    if "server" in request.fixturenames:
        version = VERSIONS[request.getfixturevalue("server")]
        record_property("against", f"Kuberhealthy {version}")


@pytest.fixture(scope="session")
def start_clusters(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> StartClusters:
    """Return what starts a cluster of each version, with the checks that a function makes."""

    @contextmanager
    def start(name: str, make_checks: Callable[[Path], Sequence[Check]]) -> Iterator[Clusters]:
        with ExitStack() as stack:
            started = {}
            for server in servers(pytestconfig):
                folder = tmp_path_factory.mktemp(f"{name}-{server.value}")
                cluster = Cluster(server, make_checks(folder), folder)
                started[server] = stack.enter_context(cluster)
            yield started

    return start


@pytest.fixture(scope="session", autouse=True)
def clusters(start_clusters: StartClusters) -> Iterator[Clusters]:
    """All checks run from the first test on; the tests wait for what becomes of them."""
    with start_clusters("checks", checks) as started:
        yield started


@pytest.fixture(scope="session", autouse=True)
def faulty_clusters(start_clusters: StartClusters) -> Iterator[Clusters]:
    """Clusters with an idle check, for tests that let requests to the API fail."""
    with start_clusters("faulty", lambda _: [Check("faults", IDLE)]) as started:
        yield started


@pytest.fixture(scope="session")
def undisturbed_clusters(start_clusters: StartClusters) -> Iterator[Clusters]:
    """Clusters for checks whose time counts, started when the machine has little else to do."""
    with start_clusters("timeouts", checks_with_timeouts) as started:
        yield started


@pytest.fixture(scope="session", autouse=True)
def unknown_runs(clusters: Clusters) -> Iterator[Mapping[Server, Future[tuple[int, bytes]]]]:
    """The answers to a report of a run that does not exist: v2 looks for it for two minutes."""
    with ThreadPoolExecutor() as executor:
        yield {
            server: executor.submit(cluster.post_as_unknown_run)
            for server, cluster in clusters.items()
        }


@pytest.fixture
def cluster(clusters: Clusters, server: Server) -> Cluster:
    return clusters[server]


@pytest.fixture
def faulty_cluster(faulty_clusters: Clusters, server: Server) -> Iterator[Cluster]:
    cluster = faulty_clusters[server]
    cluster.give_address("faults")
    yield cluster
    cluster.fail()

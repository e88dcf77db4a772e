"""Fixtures: containers against a receiver on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from shim.commands.fake_kuberhealthy import Receiver
from shim.kuberhealthy import Server
from tests.image.containers import IMAGE, ROOTS, Cluster


@pytest.fixture
def make_cluster(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    tmp_path.chmod(0o755)
    with ExitStack() as stack:

        def make(server: str = "v3", timeout: float = 60, image: str = IMAGE) -> Cluster:
            receiver = stack.enter_context(Receiver(Server(server), timeout))
            return Cluster(receiver, tmp_path, image)

        yield make


@pytest.fixture
def cluster(make_cluster: Callable[..., Cluster]) -> Cluster:
    return make_cluster()


@pytest.fixture(params=["khshim", *ROOTS])
def image(request: pytest.FixtureRequest) -> str:
    """Each image with khshim in it, in turn."""
    return IMAGE if request.param == "khshim" else f"localhost/khshim-in-{request.param}"


@pytest.fixture
def anywhere(make_cluster: Callable[..., Cluster], image: str) -> Cluster:
    """A cluster whose containers are of each image in turn.

    Scripts for it are written in Python, without a `#!` line: the one language that
    is in all of them.
    """
    return make_cluster(image=image)

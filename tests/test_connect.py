"""Connecting to the first of a host's addresses that accepts."""

from __future__ import annotations

import os
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme

from shim.delivery.connect import Address, connect, resolve, tls_context
from tests.support.servers import closed_port


def loopback(port: int) -> Address:
    return Address(socket.AF_INET, ("127.0.0.1", port))


def test_what_refuses_is_passed_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with connect([loopback(closed_port()), loopback(port)]) as connected:
            assert connected.getpeername() == ("127.0.0.1", port)


def test_a_reason_that_all_addresses_share_is_told_once() -> None:
    open_files = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="^Connection refused$"):
        connect([loopback(closed_port()), loopback(closed_port())])
    assert len(os.listdir("/proc/self/fd")) == open_files


def test_an_address_that_cannot_even_be_tried() -> None:
    broadcast = Address(socket.AF_INET, ("255.255.255.255", 9))
    with pytest.raises(OSError, match="Permission denied|unreachable"):
        connect([broadcast])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connect([broadcast, loopback(listener.getsockname()[1])]).close()


def test_no_address() -> None:
    with pytest.raises(OSError, match="the host has no address"):
        connect([])


def test_who_does_not_answer_is_given_up_and_closed() -> None:
    with ExitStack() as stack:
        # Nobody accepts here, and what is beyond the backlog gets no answer (listen(2)).
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        open_files = len(os.listdir("/proc/self/fd"))
        started_at = time.monotonic()
        with pytest.raises(TimeoutError, match="no connection within 0.1 s"):
            connect([loopback(listener.getsockname()[1])], 0.1)
        assert 0.09 < time.monotonic() - started_at < 5
        assert len(os.listdir("/proc/self/fd")) == open_files


def test_resolve() -> None:
    assert resolve("127.0.0.1", 81) == [loopback(81)]
    assert resolve("::1", 81)[0].address[:2] == ("::1", 81)


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example", "no-such-host.invalid"])
def test_what_is_no_name_does_not_resolve(host: str) -> None:
    with pytest.raises(socket.gaierror):
        resolve(host, 80)


def test_the_authorities(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    assert len(tls_context(str(path)).get_ca_certs()) == 1
    assert tls_context(None).verify_mode == tls_context(str(path)).verify_mode
    for wrong in ("/no/such/file", "/dev/null"):
        with pytest.raises(OSError, match=f"^{wrong}: "):
            tls_context(wrong)

"""Where a report goes, by its reporting URL."""

from __future__ import annotations

import pytest

from shim.kuberhealthy import Endpoint, Server, server_of


@pytest.mark.parametrize(
    ("url", "host", "port", "is_tls"),
    [
        ("http://kuberhealthy/check", "kuberhealthy", 80, False),
        ("https://kuberhealthy/check", "kuberhealthy", 443, True),
        ("HTTPS://kuberhealthy", "kuberhealthy", 443, True),
        ("http://kuberhealthy:8080/check", "kuberhealthy", 8080, False),
        ("http://10.0.0.1:8080", "10.0.0.1", 8080, False),
        ("http://[::1]/check", "::1", 80, False),
        ("http://user:word@kuberhealthy:81/check", "kuberhealthy", 81, False),
        ("http://user:word@[::1]:81/check", "::1", 81, False),
        ("http://kuberhealthy/a@b:9/check", "kuberhealthy", 80, False),
    ],
)
def test_host_and_port(url: str, host: str, port: int, is_tls: bool) -> None:
    endpoint = Endpoint(url, "id")
    assert (endpoint.host, endpoint.port, endpoint.is_tls) == (host, port, is_tls)


@pytest.mark.parametrize(
    ("url", "server", "known"),
    [
        ("http://kh/check", Server.V3, True),
        ("http://kh/check?x=/externalCheckStatus", Server.V3, True),
        ("http://kh/externalCheckStatus", Server.V2, True),
        ("http://kh/behind/a/proxy/externalCheckStatus?x", Server.V2, True),
        ("http://kh/externalCheckStatus/", Server.V2, False),
        ("http://kh/check/", Server.V3, False),
        ("http://kh/", Server.V3, False),
        ("http://kh", Server.V3, False),
    ],
)
def test_the_path_tells_the_release_line(url: str, server: Server, known: bool) -> None:
    assert server_of(url) is Endpoint(url, "id").server is server
    assert Endpoint(url, "id").has_known_path is known

"""What the bundled checks in Python take as the value of a variable, and what not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shim.checks import inputs
from shim.checks.kubernetes_api import Api, connect
from shim.checks.verdict import InputError
from tests.support import wrong_values as table

A_HOST = "a host name or an address, without scheme, port and brackets"
KINDS: dict[str, tuple[Callable[[], object], tuple[str, ...], str]] = {
    "a number": (
        lambda: inputs.number("X", "1", 0, 36500),
        (*table.NO_NUMBER, "36501", "36500.1"),
        "a number from 0 to 36500",
    ),
    "a whole number": (
        lambda: inputs.whole_number("X", "1", 1, 10000),
        (*table.NO_WHOLE_NUMBER, "0", "10001"),
        "a whole number from 1 to 10000",
    ),
    "a port": (lambda: inputs.port("X"), table.NO_PORT, "a whole number from 1 to 65535"),
    "a host": (lambda: inputs.host("X"), table.NO_HOST, A_HOST),
    "a duration": (
        lambda: inputs.duration("X", "1m"),
        table.NO_DURATION,
        "a duration such as 90s, 10m or 1h30m",
    ),
    "a flag": (lambda: inputs.flag("X"), table.NO_FLAG, "true or false"),
    "a selector": (
        lambda: inputs.selector("X"),
        table.NO_SELECTOR,
        "a label selector such as app=web,tier!=test",
    ),
    "a namespace": (
        lambda: Api("http://x").namespace("X"),
        table.NO_NAMESPACE,
        "a namespace, or * for all",
    ),
    "names of objects": (
        lambda: inputs.items("X", inputs.an_object, "names"),
        table.NO_OBJECTS,
        "names",
    ),
    "host names": (
        lambda: inputs.items("X", inputs.a_host, "host names"),
        ("", " ", "-x", "localhost -x", "a..b", "http://x", "a:5", "*", "5", "a,b"),
        "host names",
    ),
    "paths": (
        lambda: inputs.items("X", inputs.a_path, "absolute paths"),
        ("", " ", "a", "a/", "/a b/", "-x"),
        "absolute paths",
    ),
    "one of three": (
        lambda: inputs.choice("X", ("any", "ipv4", "ipv6"), "any"),
        ("", " ", "ANY", "ipv5", "any,ipv4"),
        "any, ipv4 or ipv6",
    ),
    "an API server": (
        lambda: connect("X"),
        table.NO_API,
        "an address such as http://127.0.0.1:8001, where kubectl proxy listens",
    ),
}


@pytest.mark.parametrize(
    ("kind", "value"), [(kind, value) for kind, (_, values, _) in KINDS.items() for value in values]
)
def test_what_is_refused(kind: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read, _, expected = KINDS[kind]
    monkeypatch.setenv("X", value)
    with pytest.raises(InputError) as error:
        read()
    assert str(error.value) == f"X is '{value}': expected {expected}"


@pytest.mark.parametrize(
    ("read", "value", "result"),
    [
        (lambda: inputs.number("X", "1", 0, 36500), "0", 0),
        (lambda: inputs.number("X", "1", 0, 36500), "36500", 36500),
        (lambda: inputs.number("X", "1", 0, 36500), "0.25", 0.25),
        (lambda: inputs.whole_number("X", "1", 1, 10), "10", 10),
        (lambda: inputs.whole_number("X", "1", 0, 10), "0", 0),
        (lambda: inputs.port("X"), "65535", 65535),
        (lambda: inputs.items("X", inputs.a_host, ""), "a.b ::1", ["a.b", "::1"]),
        (lambda: inputs.items("X", inputs.a_path, ""), "/a /b/c", ["/a", "/b/c"]),
        *(
            (lambda: inputs.choice("X", ("any", "ipv4", "ipv6"), "any"), word, word)
            for word in ("any", "ipv4", "ipv6")
        ),
        *(
            (lambda: inputs.host("X"), host, host)
            for host in ("localhost", "::1", "bücher.example", "a_b", "x.")
        ),
        (lambda: inputs.duration("X", "1m"), "1h30m", 5400),
        (lambda: inputs.duration("X", "1m"), "0", 0),
        (lambda: inputs.duration("X", "1m"), "90", 90),
        (lambda: inputs.flag("X"), "true", True),
        *(
            (lambda: inputs.selector("X"), text, text)
            for text in (
                *(
                    "app=web",
                    "app = web",
                    "app==web",
                    "a!=b",
                    "a",
                    "!a",
                    "a=",
                    "x.io/y=z,!b",
                    "a, b",
                ),
                *("a in (b)", "a notin (b, c),d=e", "a in (b),c,!d", "d=e,a in (b)"),
            )
        ),
        (lambda: Api("http://x").namespace("X"), "*", None),
        (lambda: Api("http://x").namespace("X"), "shop", "shop"),
        (lambda: inputs.items("X", inputs.an_object, ""), " web\n api.v1 ", ["web", "api.v1"]),
        (
            lambda: inputs.items("X", inputs.an_address, ""),
            "FD00::0001 10.0.0.1",
            ["fd00::1", "10.0.0.1"],
        ),
        (lambda: connect("X").url, "http://127.0.0.1:8001/", "http://127.0.0.1:8001"),
        (lambda: connect("X").url, "http://[::1]:8001", "http://[::1]:8001"),
    ],
)
def test_what_is_taken(
    read: Callable[[], object], value: str, result: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("X", value)
    assert read() == result


@pytest.mark.parametrize(
    "read",
    [
        lambda: inputs.text("X", "a text"),
        lambda: inputs.port("X"),
        lambda: inputs.host("X"),
        lambda: inputs.items("X", str, "names"),
        lambda: Api("http://x").namespace("X"),
    ],
)
def test_what_is_required(read: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("X", raising=False)
    with pytest.raises(InputError, match="^X is not set: expected "):
        read()


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("X", raising=False)
    assert inputs.number("X", "1.5", 0, 2) == 1.5
    assert inputs.items("X", str, "names", "") == []
    assert inputs.flag("X") is False
    assert inputs.selector("X") == ""
    assert Api("http://x", own_namespace="shop").namespace("X") == "shop"

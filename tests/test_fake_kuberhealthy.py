"""The stand-in's rules, as PROTOCOL describes the real servers."""

from __future__ import annotations

from typing import Any

import pytest

from shim.commands.fake_kuberhealthy import Reply, Request, reply_to
from shim.kuberhealthy import Endpoint

DEADLINE = 1000.0
V2 = Endpoint("http://kh/externalCheckStatus", "id")
V3 = Endpoint("http://kh/check", "id")
JSON = "application/json"


def reply(
    endpoint: Endpoint,
    *,
    known: bool = True,
    uuid: str = "id",
    type: str = JSON,
    **changes: Any,
) -> Reply:
    path = endpoint.url.removeprefix("http://kh")
    body = b'{"OK": true, "Errors": []}'
    headers = {"kh-run-uuid": uuid, "content-type": type}
    request = Request("POST", path, headers, body, DEADLINE - 1)._replace(**changes)
    return reply_to(request, endpoint, DEADLINE, known=known)


@pytest.mark.parametrize(
    ("changes", "v2", "v3"),
    [
        ({}, 200, 200),
        ({"method": "PUT"}, 200, 405),
        ({"type": "text/plain"}, 200, 415),
        ({"type": "application/json; charset=utf-8"}, 200, 200),
        ({"uuid": "other"}, 400, 400),
        ({"path": "/other"}, 400, 405),
        ({"at": DEADLINE}, 200, 410),
        ({"at": DEADLINE + 1.9}, 200, 410),
        ({"at": DEADLINE + 2}, 200, 400),
        ({"known": False}, 200, 400),
        ({"body": b"no"}, 400, 400),
        ({"body": b"[]"}, 400, 400),
        ({"body": b'{"OK": 1, "Errors": []}'}, 400, 400),
        ({"body": b'{"OK": "true", "Errors": []}'}, 400, 400),
        ({"body": b'{"OK": false, "Errors": []}'}, 400, 400),
        ({"body": b'{"OK": false, "Errors": [""]}'}, 400, 400),
        ({"body": b'{"OK": false, "Errors": [null]}'}, 400, 400),
        ({"body": b'{"OK": false, "Errors": ["a", 1]}'}, 400, 400),
        ({"body": b'{"ok": false, "ERRORS": ["a"], "More": 1}'}, 200, 200),
        ({"body": b'{"OK": true, "Errors": null}'}, 200, 200),
        ({"body": b'{"OK": true, "Errors": ["a"]}'}, 200, 400),
        ({"body": b"{}"}, 400, 400),
    ],
)
def test_rules(changes: dict[str, Any], v2: int, v3: int) -> None:
    assert reply(V2, **changes).status == v2
    assert reply(V3, **changes).status == v3


def test_v2_turns_ok_with_errors_into_a_failure() -> None:
    assert reply(V2, body=b'{"OK": true, "Errors": ["a"]}').stored == (False, ["a"])


def test_v3_says_why() -> None:
    assert reply(V3, uuid="x").text == "run uuid x is invalid or expired"

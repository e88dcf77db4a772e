"""JSON by the rules of Go's encoding/json."""

from __future__ import annotations

import pytest

from shim.commands.go_json import DEEPEST, Object, decode


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b" null\n", None),
        (b"-1.5e3", -1500.0),
        (b"1" * 400, float("inf")),
        (b"[]", []),
        (b"[ [1, true], {} ]", [[1.0, True], Object()]),
        (b'{"a": {"b": [2]}, "a": null}', Object([("a", Object([("b", [2.0])])), ("a", None)])),
        (b'"\\u00e9\\n"', "\u00e9\n"),
        (b'"a\xffb"', "a\ufffdb"),
        (b'"\\ud800"', "\ufffd"),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
    ],
)
def test_values(data: bytes, value: object) -> None:
    assert decode(data) == value


@pytest.mark.parametrize(
    "data",
    [b"", b"nul", b"NaN", b"-Infinity", b"[1,]", b"[1 2]", b"[1", b'{"a"}', b'{"a": 1,}', b"{1: 2}"]
    + [b'{"a": 1] ', b"1 2", b'"\n"', b"\xef\xbb\xbf1", '"a"'.encode("utf-16"), b"01", b"]"],
)
def test_what_is_no_json(data: bytes) -> None:
    with pytest.raises(ValueError):
        decode(data)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_how_deep_it_may_be(opening: bytes, closing: bytes) -> None:
    decode(opening * (DEEPEST - 1) + b"[]" + closing * (DEEPEST - 1))
    with pytest.raises(ValueError, match="nested too deeply"):
        decode(opening * DEEPEST + b"[]" + closing * DEEPEST)

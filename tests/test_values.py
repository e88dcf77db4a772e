"""Texts of settings that become values, and those that are refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from shim import values

level = values.one_of(["debug", "info"])


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (values.url, "http://kh:8080/check", "http://kh:8080/check"),
        (values.url, "HTTPS://[::1]:443", "HTTPS://[::1]:443"),
        (values.url, "http://[fe80::1%25eth0]/", "http://[fe80::1%25eth0]/"),
        (values.url, "http://user:word@kh/", "http://user:word@kh/"),
        (values.url, "http://", None),
        (values.url, "http:/kh", None),
        (values.url, "ftp://kh/", None),
        (values.url, "http://kh:65536/", None),
        (values.url, "http://kh:x/", None),
        (values.url, "http://[::1", None),
        (values.url, "http://[kh]/", None),
        (values.url, "http://[::1]x/", None),
        (values.url, "http://a]b/", None),
        (values.url, "http://kh/a b", None),
        (values.url, "http://k\u00fch/", None),
        (values.token, "4a-b", "4a-b"),
        (values.token, "a\r\nb", None),
        (values.whole_number(1, 65535), "1", 1),
        (values.whole_number(1, 65535), "65535", 65535),
        (values.whole_number(1, 65535), "0", None),
        (values.whole_number(1, 65535), "65536", None),
        (values.finite, "1.5", 1.5),
        (values.finite, "inf", None),
        (values.finite, "nan", None),
        (values.positive_duration, "1m", 60.0),
        (values.positive_duration, "0s", None),
        (values.shell_words, "", []),
        (values.shell_words, "a 'b c'", ["a", "b c"]),
        (values.shell_words, "'a", None),
        (values.command, "", []),
        (values.command, "bash -eu", ["bash", "-eu"]),
        (values.command, "  ", None),
        (values.names, " A, ,B,", ["A", "B"]),
        (level, "INFO", "info"),
        (level, "loud", None),
        (values.boolean, "Yes", True),
        (values.boolean, "0", False),
        (values.boolean, "", None),
        (values.exit_codes, "0,255", frozenset({0, 255})),
        (values.exit_codes, "256", None),
        (values.exit_codes, "-1", None),
        (values.exit_codes, "0,", None),
    ],
)
def test_values(parse: Callable[[str], object], text: str, value: object) -> None:
    if value is not None:
        assert parse(text) == value
    else:
        with pytest.raises(ValueError):
            parse(text)


def test_choices_are_told_in_words() -> None:
    assert values.choices_in_words(["a", "b", "c"]) == "a, b or c"


def test_a_file_that_can_be_read_at_once(tmp_path: Path) -> None:
    file, fifo = tmp_path / "file", tmp_path / "fifo"
    file.touch()
    os.mkfifo(fifo)
    open_files = len(os.listdir("/proc/self/fd"))
    assert values.readable_file(str(file)) == str(file)
    for path in (fifo, tmp_path, tmp_path / "none"):
        with pytest.raises(ValueError):
            values.readable_file(str(path))
    assert len(os.listdir("/proc/self/fd")) == open_files

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.report.clean import clean


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"plain", "plain"),
        (b"  indented \t ", "  indented"),
        (b"", ""),
        (b" \t\r", ""),
        (b"tab\there", "tab here"),
        ("grün €".encode(), "grün €"),
        (b"bad \xff\xfe utf-8", "bad \ufffd\ufffd utf-8"),
        ("\ud800".encode("utf-8", "surrogatepass"), "\ufffd\ufffd\ufffd"),
        (b"nul\0 bell\x07 back\x08space del\x7f", "nul bell backspace del"),
        ("c1 \x85\x9e form\x0cfeed \u2028 \u202egnp".encode(), "c1  formfeed  gnp"),
        (b"\x1b[1;31mred\x1b[0m \x1b[38;5;196mmore\x1b[K", "red more"),
        (b"\x1b]0;title\x07text", "text"),
        (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"\x1b(Bcharset \x1bMup \x1b=", "charset up"),
        ("\x9b31mC1\x9b0m".encode(), "C1"),
        (b"cut off \x1b[31", "cut off 31"),
        (b"\x1b]unterminated error", "unterminated error"),
        (b"  1%\r 50%\r100%", "100%"),
        (b"10%\r20%\r", "20%"),
        (b"only\r   \r", "only"),
        (b"windows\r", "windows"),
        (b"\x1b[31m" * 10_000 + b"x", "x"),
    ],
)
def test_clean(line: bytes, text: str) -> None:
    assert clean(line) == text


@given(st.binary())
def test_anything_becomes_one_printable_line(line: bytes) -> None:
    text = clean(line)
    assert text == text.rstrip()
    assert not any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in text)
    text.encode()


def test_a_hostile_line_takes_no_time() -> None:
    for line in (
        b"\x1b]" * 30_000,
        b"\x1b[" * 30_000,
        b"\x1b[" + b"0;" * 30_000,
        b"\r" * 60_000,
    ):
        clean(line)

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
        (b"nul\0 bell\x07 del\x7f", "nul bell del"),
        ("c1 \x9e \u202egnp".encode(), "c1  gnp"),
        # What some readers take for the end of a line keeps words apart.
        ("a\x0bb\x0cc\x85d\u2028e\u2029f".encode(), "a b c d e f"),
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
        # Text is drawn over: a man page's bold and underlined, progress, a spinner, a slip.
        (b"N\x08NA\x08AM\x08ME\x08E _\x08x_\x08y", "NAME xy"),
        (b"  1%\x08\x08\x08\x08 50%\x08\x08\x08\x08100%", "100%"),
        (b"working |\x08/\x08-\x08\\\x08 done", "working  done"),
        (b"working |\x08 \x08", "working"),
        (b"abc\x08\x08", "abc"),
        (b"abcd\x08\x08\x08x", "axcd"),
        # What is before a cut is not known.
        ("…\x08\x08ab".encode(), "…ab"),
        ("ab\x08\x08\x08c…".encode(), "c…"),
        (b"\x08\x08a\x08\x08\x08\x08b", "b"),
        (b"50%\x08\x1b[K\x08\x0060%", "560%"),
        (b"\xc3\xbc\x08u", "u"),
        (b"10%\x08\x08\x0820%\r   \x08\x08\r", "20%"),
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
        b"a\x08" * 30_000,
        b"a" * 30_000 + b"\x08" * 30_000,
    ):
        clean(line)

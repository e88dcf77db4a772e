"""Undoing the escapes in which a line may show a text, with where in the line each byte was."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple


class Escape(NamedTuple):
    """A way to write a text: what its escapes look like, and the bytes that one stands for."""

    pattern: bytes
    undo: Callable[[re.Match[bytes]], bytes]


def unescape(line: bytes, escape: Escape) -> tuple[bytes, list[int]]:
    """Return `line` without its escapes, and for each byte, and the end, where it was.

    Nothing is returned of a line that has no such escapes.
    """
    parts: list[bytes] = []
    places: list[int] = []
    at = 0
    for match in re.finditer(escape.pattern, line):
        plain = escape.undo(match)
        parts += [line[at : match.start()], plain]
        places += [*range(at, match.start()), *[match.start()] * len(plain)]
        at = match.end()
    if not parts:
        return b"", []
    return b"".join([*parts, line[at:]]), [*places, *range(at, len(line) + 1)]


def _url(match: re.Match[bytes]) -> bytes:
    return bytes.fromhex(match[1].decode()) if match[1] else b" "


_HTML_NAMES = {b"amp": b"&", b"lt": b"<", b"gt": b">", b"quot": b'"', b"apos": b"'"}


def _html(match: re.Match[bytes]) -> bytes:
    name, decimal, hexadecimal = match.groups()
    if name:
        return _HTML_NAMES[name]
    return _utf_8(int(decimal) if decimal else int(hexadecimal, 16))


def _quote(match: re.Match[bytes]) -> bytes:
    return b"'"


def _backslash(match: re.Match[bytes]) -> bytes:
    return match[1]


_CONTROLS = dict(
    zip((b"a", b"b", b"e", b"E", b"f", b"n", b"r", b"t", b"v"), b"\a\b\x1b\x1b\f\n\r\t\v")
)


def _language(match: re.Match[bytes]) -> bytes:
    high, low, short, long, byte, octal, other = match.groups()
    if high:
        return bytes.fromhex((high + low).decode()).decode("utf-16-be").encode()
    if short or long:
        return _utf_8(int(short or long, 16))
    if other:
        return bytes([_CONTROLS.get(other, other[0])])
    return bytes([int(byte, 16) if byte else int(octal, 8) & 0xFF])


def _utf_8(code_point: int) -> bytes:
    return chr(min(code_point, 0x10FFFF)).encode("utf-8", "surrogatepass")


def _pattern(pattern: str) -> bytes:
    """Return `pattern`, in which H stands for a hexadecimal digit and a dot for any byte."""
    return b"(?s)" + pattern.replace("H", "[0-9A-Fa-f]").encode()


ESCAPES = (
    # URLs; and forms, in which a plus is a space.
    Escape(_pattern("%(HH)"), _url),
    Escape(_pattern(r"%(HH)|\+"), _url),
    Escape(_pattern("&(?:(amp|lt|gt|quot|apos)|#([0-9]{1,7})|#[xX](H{1,6}));"), _html),
    # A quote in single quotes, by bash and by dash; nothing else is escaped there.
    Escape(_pattern(r"""'(?:\\'|"'")'"""), _quote),
    # printf %q, declare -p, and in the trace of [[ ]] before each character.
    Escape(_pattern(r"\\(.)"), _backslash),
    # JSON, programming languages, and $'…' in shells. JSON needs two escapes for a
    # character beyond U+FFFF.
    Escape(
        _pattern(
            r"\\(?:u([dD][89abAB]HH)\\u([dD][c-fC-F]HH)|u(HHHH)|U(H{8})|x(HH)|([0-7]{1,3})|(.))"
        ),
        _language,
    ),
)

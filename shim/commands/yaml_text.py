"""YAML that every parser reads alike: Go's, which bring it into a cluster, and Python's.

It writes what resources are made of, and of YAML the little that nobody reads otherwise: block
mappings and lists, strings in double quotes or as literal blocks, no anchors, no folded lines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

# Written without quotes: what begins like a word or a path and is no word of YAML 1.1. All else
# may be a number, a date, a boolean or an indicator to one parser or another.
WORD = re.compile(r"[A-Za-z/]([-\w./:]*[-\w./])?", re.ASCII)
YAML_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
# What a literal block holds as it is: printable characters with something at the first line's
# beginning. Other line breaks of YAML 1.1 than the newline are none to YAML 1.2.
PRINTABLE = "\t -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010fffd"
BLOCK = re.compile(f"[!-~][{PRINTABLE}]*\n[{PRINTABLE}\n]*")
# What does not stand for itself in double quotes.
TO_ESCAPE = re.compile(f'[\t"\\\\]|[^{PRINTABLE}]')
INDENT = "  "


def to_yaml(documents: Sequence[dict[str, Any]]) -> str:
    """Return the documents as YAML, each begun by `---`, so that several texts make one stream.

    They hold mappings, lists, strings, booleans and whole numbers; keys are strings of less
    than 1,000 characters and stay in their order.
    """
    return "".join("\n".join(["---", *_lines(document), ""]) for document in documents)


def _lines(value: Any) -> list[str]:
    """Return a value as lines: a mapping or a list as a block, all else as it goes behind a key."""
    if isinstance(value, dict) and value:
        return [line for key, entry in value.items() for line in _entry(f"{_quoted(key)}:", entry)]
    if isinstance(value, list) and value:
        return [line for entry in value for line in _entry("-", entry)]
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, bool):
        return ["true" if value else "false"]
    return [str(value)]  # a number, {} or []


def _entry(begin: str, value: Any) -> list[str]:
    """Return one entry of a block: `begin` and the value behind it, or below it."""
    first, *rest = _lines(value)
    is_block = isinstance(value, (dict, list)) and bool(value)
    if is_block and begin != "-":
        return [begin, *_indented([first, *rest])]
    return [f"{begin} {first}", *_indented(rest)]


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"{INDENT}{line}" if line else "" for line in lines]


def _string(text: str) -> list[str]:
    if not BLOCK.fullmatch(text):
        return [_quoted(text)]
    # Of the newlines at the end a block keeps one, with + all and with - none.
    chomping = "+" if text.endswith("\n\n") else "" if text.endswith("\n") else "-"
    return [f"|{chomping}", *text.removesuffix("\n").split("\n")]


def _quoted(text: str) -> str:
    """Return a string on one line, in double quotes where it needs them."""
    if WORD.fullmatch(text) and text.lower() not in YAML_WORDS:
        return text
    return f'"{TO_ESCAPE.sub(_escape, text)}"'


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if match[0] in '"\\':
        return f"\\{match[0]}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

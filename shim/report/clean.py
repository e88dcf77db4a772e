"""Cleaning a line of a script's output for a status page."""

from __future__ import annotations

import re

from shim.supervise.capture import CUT

# The patterns of this folder are compiled where they are first used, and kept by `re`: a run
# that passes needs none, and compiling them all would be a tenth of its CPU time.

# ECMA-48: CSI sequences, OSC and the other string sequences where they are terminated
# (an unterminated one must not hide the rest of its line), and the short escapes.
ANSI = (
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]P^_X]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90-\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
)
# Tabs, and what some readers take for the end of a line: words must not run together.
BLANKS = "[\t\x0b\x0c\x85\u2028\u2029]"
# C0 and C1 controls except the backspace, the byte-order mark, and the marks that turn
# the direction of text, with which a line can be made to lie.
UNPRINTABLE = "[\x00-\x07\x0a-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]+"


def clean(line: bytes) -> str:
    """Return `line` as printable text without trailing white space; "" for a blank one.

    Invalid UTF-8 becomes U+FFFD, a tab a space. A progress meter rewrites its line with
    carriage returns: the last state that shows anything is kept. A man page draws with
    backspaces: the last character at each place is kept.
    """
    text = re.sub(ANSI, "", line.decode("utf-8", "replace"))
    states = (_drawn(state) for state in reversed(text.split("\r")))
    return next((state.rstrip() for state in states if state.strip()), "")


def _drawn(state: str) -> str:
    """Return what a terminal shows: a backspace goes back, and the next character replaces."""
    text = re.sub(UNPRINTABLE, "", re.sub(BLANKS, " ", state))
    if "\b" not in text:
        return text
    shown: list[str] = []
    first = text.startswith(CUT)  # what is before it is not known
    at = 0
    for character in text:
        if character == "\b":
            at = max(at - 1, first)
        else:
            shown[at : at + 1] = [character]
            at += 1
    return "".join(shown)

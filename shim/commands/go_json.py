"""JSON by the rules of Go's encoding/json, with which Kuberhealthy decodes a report."""

from __future__ import annotations

import json
import re
from typing import NamedTuple, NoReturn

# Deeper nesting is an error (maxNestingDepth in Go's encoding/json), and beyond Python's stack.
DEEPEST = 10_000

_SPACE = re.compile(r"[ \t\r\n]*")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Object(list[tuple[str, object]]):
    """The members of a JSON object in their order; a name may be there twice."""


def decode(data: bytes) -> object:
    """Return the value of a JSON text: None, bool, float, str, list or Object.

    Raises ValueError. Each byte in a string that is no UTF-8, and a lone surrogate,
    becomes U+FFFD. A byte order mark, another encoding and NaN are errors.
    """
    text = _Text(_without_surrogates(data.decode("utf-8", "surrogateescape")))
    unfinished: list[Opened] = []
    while True:
        opened = text.opens()
        if opened and len(unfinished) == DEEPEST:
            raise ValueError("nested too deeply")
        if opened and not text.takes(opened.closing):
            unfinished.append(opened)
        else:
            value = opened.container if opened else text.scalar()
            while True:  # the value is whole, and may be the last one of its container
                if not unfinished:
                    text.end()
                    return value
                container, closing = unfinished[-1]
                if isinstance(container, Object):
                    container[-1] = (container[-1][0], value)
                else:
                    container.append(value)
                if text.takes(","):
                    break
                if not text.takes(closing):
                    raise ValueError(f"neither a comma nor {closing}")
                value = unfinished.pop().container
        container = unfinished[-1].container
        if isinstance(container, Object):
            container.append((text.name(), None))


class Opened(NamedTuple):
    """A list or an object that has begun, and the mark that will close it."""

    container: list[object] | Object
    closing: str


class _Text:
    """A JSON text and how far it was read; what reads on raises ValueError."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0

    def is_next(self, mark: str) -> bool:
        """Tell whether `mark` comes next, behind white space."""
        if match := _SPACE.match(self._text, self._position):
            self._position = match.end()
        return self._text.startswith(mark, self._position)

    def takes(self, mark: str) -> bool:
        """Read `mark` if it comes next, and tell whether it does."""
        if not self.is_next(mark):
            return False
        self._position += len(mark)
        return True

    def opens(self) -> Opened | None:
        """Read what opens a list or an object, if it comes next."""
        if self.takes("["):
            return Opened([], "]")
        return Opened(Object(), "}") if self.takes("{") else None

    def scalar(self) -> object:
        """Read what is neither."""
        value, self._position = _SCALARS.raw_decode(self._text, self._position)
        return _without_surrogates(value) if isinstance(value, str) else value

    def name(self) -> str:
        """Read the name of an object's member and the colon behind it."""
        name = self.scalar() if self.is_next('"') else None
        if not isinstance(name, str) or not self.takes(":"):
            raise ValueError("a member without a name")
        return name

    def end(self) -> None:
        """Read white space alone."""
        self.is_next("")
        if self._position != len(self._text):
            raise ValueError("something behind the value")


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


# An integer of thousands of digits is a number like others, which int() refuses.
_SCALARS = json.JSONDecoder(parse_constant=_no_number, parse_int=float)


def _without_surrogates(text: str) -> str:
    return _SURROGATE.sub("\ufffd", text)

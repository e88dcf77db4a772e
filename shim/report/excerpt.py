"""From the captured output to the lines that a report can show of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import compress, groupby
from typing import NamedTuple

from shim.kuberhealthy import Server
from shim.report.clean import clean
from shim.report.headline import take_headline
from shim.report.plugin_output import split
from shim.supervise.capture import CUT, Captured

MAX_LINES = 64
MAX_LINE_LENGTH = 1000  # characters
MAX_QUOTE_LENGTH = 500  # the same, of a line inside a sentence


class Line(NamedTuple):
    """A line to be shown, which stands for `times` identical ones that follow each other."""

    text: str
    times: int = 1


class Excerpt(NamedTuple):
    """What can be shown of a stream: its ends, and `gap`, the number of lines between them.

    `headline` is the line to be shown first, "" where there is none. Where the whole
    stream is one long line, `one_line_of` is its size in bytes, else 0.
    """

    headline: str
    head: list[Line]
    gap: int
    tail: list[Line]
    one_line_of: int

    @property
    def is_blank(self) -> bool:
        return not (self.headline or self.head or self.tail)


class Editor:
    """Makes a line fit to be shown on a server's status page.

    `mask` takes the secrets out of a cleaned line, before it is cut: half of one
    would not be found any more.
    """

    def __init__(self, server: Server, mask: Callable[[str], str]) -> None:
        self._server = server
        self._mask = mask

    def sentence(self, text: str) -> str:
        """Return a sentence of khshim's, fit to be shown; "" for a blank one."""
        return self._fit(self._mask(clean(text.encode("utf-8", "replace"))))

    def line(self, line: Line, *, of_plugin: bool) -> Line:
        """Return a cleaned line, fit to be shown, `of_plugin` without performance data."""
        text = self._mask(line.text)
        if of_plugin:
            text = text.partition("|")[0].rstrip()
        behind = f" ({line.times:,} times)" if line.times > 1 else ""
        return Line(self._fit(text, MAX_LINE_LENGTH - len(behind)) + behind, line.times)

    def quote(self, text: str) -> str:
        """Return a cleaned line to be used in a sentence, masked and cut."""
        text = self._mask(text)
        if len(text) <= MAX_QUOTE_LENGTH:
            return text
        if text.startswith(CUT):
            return CUT + text[len(CUT) - MAX_QUOTE_LENGTH :]
        return text[: MAX_QUOTE_LENGTH - len(CUT)] + CUT

    def _fit(self, text: str, limit: int = MAX_LINE_LENGTH) -> str:
        """Return a masked text escaped, and cut to `limit` characters.

        It is cut at its end, or where its beginning is missing already there.
        """
        if self._server is Server.V2:
            text = text.replace('"', "'")  # a khjob's labels do not even escape quotes
        # The server puts errors into Prometheus labels without escaping backslashes.
        return cut(text.replace("\\", "\\\\"), limit)


def cut(text: str, limit: int) -> str:
    """Return an escaped text cut to `limit` characters, at its end or where it was cut already."""
    if len(text) <= limit:
        return text
    # Never half of a doubled backslash.
    if text.startswith(CUT):
        text = text[len(CUT) - limit :]
        return CUT + text[(len(text) - len(text.lstrip("\\"))) % 2 :]
    text = text[: limit - len(CUT)]
    return text[: len(text) - (len(text) - len(text.rstrip("\\"))) % 2] + CUT


def excerpt(output: Captured, editor: Editor, *, of_plugin: bool = False) -> Excerpt:
    """Return what can be shown of `output`, edited; `of_plugin` without performance data.

    More than MAX_LINES of an end are never shown, and masking a flood takes long.
    """
    head, tail = list(_cleaned(output.head)), list(_cleaned(output.tail))
    if of_plugin:
        are_text = [text.strip() != "" for text, _ in split([*head, *tail])]
        tail = list(compress(tail, are_text[len(head) :]))
        head = list(compress(head, are_text))
    headline, tail = take_headline(tail)
    if not headline:
        headline, head = take_headline(head)
    first, last = _folded(head), _folded(tail)
    if not output.tail:
        first, last = first[:MAX_LINES], first[MAX_LINES:]
    return Excerpt(
        editor.line(Line(headline), of_plugin=of_plugin).text,
        [editor.line(line, of_plugin=of_plugin) for line in first[:MAX_LINES]],
        output.lines_left_out + count(first[MAX_LINES:]) + count(last[:-MAX_LINES]),
        [editor.line(line, of_plugin=of_plugin) for line in last[-MAX_LINES:]],
        output.one_line_of,
    )


def last_line(output: Captured) -> str:
    """Return the last line that shows anything, cleaned; "" where none does."""
    return next(_cleaned(reversed([*output.head, *output.tail])), "")


def count(lines: Iterable[Line]) -> int:
    """Return how many lines of the output `lines` stand for."""
    return sum(line.times for line in lines)


def _cleaned(lines: Iterable[bytes]) -> Iterator[str]:
    """Yield the lines that show anything, cleaned; of a flood of identical ones only one is."""
    for line, group in groupby(lines):
        text = clean(line)
        if text.strip(CUT):
            yield from (text for _ in group)


def _folded(lines: Iterable[str]) -> list[Line]:
    return [Line(text, len(list(group))) for text, group in groupby(lines)]

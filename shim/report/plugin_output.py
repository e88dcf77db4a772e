"""What in a Nagios plugin's output is text, and what performance data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_NUMBER = r"[-+]?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][-+]?[0-9]+)?"
# 'label'=value[UOM];[warn];[crit];[min];[max], by the Monitoring Plugins Development
# Guidelines: a quote in a label is doubled, U is a value that is not known. That an item
# begins after a space keeps the search linear in a long word that is none.
ITEM = (
    r"(?<!\S)(?:'(?P<quoted>(?:[^']|'')*)'|(?P<plain>[^\s='|]+))="
    rf"(?:(?P<number>{_NUMBER})(?P<unit>[^\s;|'\"0-9.,]*)|U)(?:;\S*)?(?!\S)"
)


def split(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the text and the performance data of each line that is not blank.

    As Nagios reads them (Plugin API, "Plugin Output Spec"): data stands behind a `|`, and
    after one in the long output, the second line or a later one, whole lines are data.
    Nagios would take any such line for data; one that is not may be a plugin's last words.
    """
    whole_lines = False
    for number, line in enumerate(filter(str.strip, lines)):
        text, bar, data = line.partition("|")
        if whole_lines and not bar and not re.sub(ITEM, "", line).strip():
            text, data = "", line
        whole_lines |= bar != "" and number > 0
        yield text, data

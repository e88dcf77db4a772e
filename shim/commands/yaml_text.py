"""YAML that every parser reads alike: Go's, which bring it into a cluster, and Python's."""

from __future__ import annotations

import re
import sys
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


def to_yaml(documents: Sequence[dict[str, Any]]) -> str:
    """Return the documents as YAML, keys in their order, texts of several lines as blocks.

    Raises ImportError where PyYAML is not installed.
    """
    import yaml  # the extra khshim[manifest]

    class Dumper(yaml.SafeDumper):
        """Writes tabs and trailing blanks in blocks, as YAML allows and PyYAML avoids."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

        def analyze_scalar(self, scalar: str) -> yaml.emitter.ScalarAnalysis:
            analysis = super().analyze_scalar(scalar)
            if BLOCK.fullmatch(scalar):
                analysis.allow_block = True
            return analysis

    def represent_text(dumper: Dumper, text: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, _style(text))

    Dumper.add_representer(str, represent_text)
    return yaml.dump_all(
        documents, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=sys.maxsize
    )


def _style(text: str) -> str | None:
    if WORD.fullmatch(text) and text.lower() not in YAML_WORDS:
        return None
    return "|" if BLOCK.fullmatch(text) else '"'

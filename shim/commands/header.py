"""What a script says of its own check, in lines such as `# khshim: interval=5m env=URL=http://web`."""

from __future__ import annotations

import os
import shlex
from argparse import Namespace
from typing import NoReturn

from shim.commands.arguments import Parser
from shim.commands.sources import STDIN, File, ManifestError
from shim.folder.find import HEADER
from shim.suggest import did_you_mean

# Options that speak of the whole call.
NOT_IN_A_HEADER = frozenset({"--help", "--kustomize", "--together"})


class HeaderParser(Parser):
    """The parser of the command line, with errors for one who writes a header."""

    def error(self, message: str) -> NoReturn:
        raise ManifestError(message.removeprefix("argument --"))


def read(script: File, parser: Parser) -> Namespace:
    """Return the options that a script's lines give, under the names that `parser` gives them.

    `parser` is a HeaderParser. A line is options without their dashes, quoted as in a shell;
    what follows `--` is the script's arguments. Paths are relative to the script. Raises
    ManifestError, which names the line.
    """
    own = Namespace()
    for number, line in enumerate(script.text.split("\n"), 1):
        match = HEADER.match(line)
        if match is not None:
            try:
                _read_line(match[1], parser, own)
            except ManifestError as error:
                shown = "stdin" if script.path == STDIN else script.path
                raise ManifestError(f"{shown}, line {number}: {error}") from None
    if "files" in own:
        folder = os.path.dirname(script.path)
        own.files = [os.path.join(folder, path) for path in own.files]
    return own


def _read_line(text: str, parser: Parser, own: Namespace) -> None:
    """Add what the text behind `khshim:` says to `own`."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        reason = str(error)[:1].lower() + str(error)[1:]
        raise ManifestError(f"the words are quoted as in a shell, and there is {reason}") from None
    if "--" in words:
        index = words.index("--")
        _add(own, "--", "args", words[index + 1 :])
        words = words[:index]
    for word in words:
        key, is_pair, value = word.partition("=")
        known = set(parser.options()) - NOT_IN_A_HEADER
        if f"--{key}" not in known:
            hint = did_you_mean(key, [option.removeprefix("--") for option in known])
            raise ManifestError(f"there is no {key} to be said of a check.{hint}")
        found = parser.parse_args([f"--{key}={value}" if is_pair else f"--{key}"])
        [(name, parsed)] = vars(found).items()
        _add(own, key, name, parsed)


def _add(own: Namespace, key: str, name: str, value: object) -> None:
    """Set an option, or add to it if it may be given several times."""
    before = getattr(own, name, None)
    if before is None:
        setattr(own, name, value)
    elif isinstance(value, list) and name != "args":
        before += value
    else:
        raise ManifestError(f"{key} is said twice")

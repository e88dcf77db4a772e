"""From scripts, and the options of the command line and their own, to checks."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Sequence
from typing import Any, NamedTuple

from shim.commands import header, sources
from shim.commands.arguments import Parser
from shim.commands.check import Check, validate
from shim.commands.sources import STDIN, File, ManifestError
from shim.kuberhealthy import Server

# Of options that can be given several times, those whose items begin with a key.
WITH_KEYS = frozenset({"env", "labels", "annotations", "node_selector"})


class Script(NamedTuple):
    """A script that was read, with the options that its own lines give."""

    file: File
    own: Namespace


def gather(
    words: Sequence[str], options: Namespace, header_parser: Parser, name: str | None = None
) -> tuple[list[Check], list[str]]:
    """Return the checks of the scripts that `words` name, and the files of folders that are none.

    `options` are those for all scripts, and `header_parser`, a HeaderParser, reads a script's
    own. With `name` they are to become one check of that name. Raises ManifestError with a
    line for each script that cannot be a check.
    """
    found = sources.find(words)
    paths = found.scripts
    if name is not None:
        if "name" in options or "files" in options:
            raise ManifestError(
                "with --together there is neither --name nor --file: a script says itself which"
                " files it needs, in a line '# khshim: file=…'"
            )
        options = Namespace(**vars(options), name=name)
    elif len(paths) > 1 and "name" in options:
        raise ManifestError(f"--name is for one script, and here are {len(paths)}")
    problems: dict[str, str] = {}
    scripts = []
    for path in paths:
        try:
            file = sources.read_script(path)
            scripts.append(Script(file, header.read(file, header_parser)))
        except ManifestError as error:
            problems[path] = str(error)
    # A folder holds what its scripts source as well.
    needed = {os.path.realpath(path) for script in scripts for path in _files(script.own)}
    needed.update(map(os.path.realpath, _files(options)))

    def is_check(path: str) -> bool:
        return path in found.named or os.path.realpath(path) not in needed

    checks: dict[tuple[str | None, str], Check] = {}
    for script in scripts:
        path = script.file.path
        if is_check(path):
            try:
                check = _check(script, options)
                # Two of one name are to become one.
                _add(checks, check, path if name is not None else check.name)
            except ManifestError as error:
                problems[path] = f"{'stdin' if path == STDIN else path}: {error}"
    told = [problems[path] for path in paths if path in problems and is_check(path)]
    if told:
        raise ManifestError("\n".join(told))
    return list(checks.values()), [path for path in found.others if is_check(path)]


def _add(checks: dict[tuple[str | None, str], Check], check: Check, key: str) -> None:
    other = checks.setdefault((check.namespace, key), check)
    if other is not check:
        raise ManifestError(
            f"{other.script.path} is the check {check.name} already: give one of them another name,"
            " for example by a line '# khshim: name=…' in it"
        )


def _files(options: Namespace) -> list[str]:
    files: list[str] = getattr(options, "files", [])
    return files


def _check(script: Script, defaults: Namespace) -> Check:
    """Return the check of a script; raises ManifestError."""
    options = _merged(defaults, script.own)
    if "name" not in options:
        if script.file.path == STDIN:
            raise ManifestError("a script from there has no name: --name is missing")
        options["name"] = sources.check_name(script.file.name)
    for name, missing in (("interval", "--interval or --once"), ("timeout", "--timeout")):
        if name not in options:
            raise ManifestError(
                f"{missing} is missing, on the command line or in a line '# khshim: {name}=…'"
            )
    file = script.file._replace(name=options["name"]) if script.file.path == STDIN else script.file
    files = [sources.read_file(path) for path in options.pop("files", [])]
    server = Server(options.pop("server", Check._field_defaults["server"].value))
    check = Check(script=file, files=files, server=server, **options)
    validate(check)
    return check


def _merged(defaults: Namespace, own: Namespace) -> dict[str, Any]:
    """Return the options of one script: its own, and those for all that it does not replace."""
    options = dict(vars(defaults))
    for name, value in vars(own).items():
        if isinstance(value, list) and name != "args":
            replaced = [item[0] if name in WITH_KEYS else item for item in value]
            common = options.get(name, [])
            kept = [
                item for item in common if (item[0] if name in WITH_KEYS else item) not in replaced
            ]
            value = [*kept, *value]
        options[name] = value
    return options

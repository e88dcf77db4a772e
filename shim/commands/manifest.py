"""`khshim manifest`: writes the resources that run scripts as Kuberhealthy checks."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from shim.commands import kubernetes, kustomization, option_values
from shim.commands.check import Check
from shim.commands.gather import gather
from shim.commands.header import HeaderParser
from shim.commands.manifest_options import parser
from shim.commands.output import complain, put
from shim.commands.resources import (
    ONCE_INTERVAL,
    Resource,
    config_map,
    other_resources,
)
from shim.commands.sources import ManifestError
from shim.commands.together import together
from shim.commands.yaml_text import to_yaml
from shim.file_names import some_of
from shim.folder.find import MARKS
from shim.kuberhealthy import Server
from shim.observe.telling import doubts
from shim.settings import Settings


class Given(NamedTuple):
    """What the command line says: the scripts, the options for all of them, and where to write.

    `together` is the name of the one check that they are to be.
    """

    words: list[str]
    options: argparse.Namespace
    folder: str | None
    together: str | None


def main(words: Sequence[str]) -> int:
    """Write what `words` ask for; return 0, or 1 where it cannot be had."""
    given = _parse(words)
    try:
        checks, left_out = gather(given.words, given.options, parser(HeaderParser), given.together)
        if given.together is not None:
            checks = [together(checks)]
        text = _output(checks, given.folder)
    except ManifestError as error:
        complain("".join(f"khshim manifest: {line}\n" for line in str(error).split("\n")))
        return 1
    for note in _notes(checks, left_out):
        complain(f"khshim manifest: note that {note}\n")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # whatever this terminal's locale is
    return put(text, 0)


def _parse(words: Sequence[str]) -> Given:
    words = list(words)
    index = words.index("--") if "--" in words else len(words)
    own = parser()
    options = own.parse_intermixed_args(words[:index])
    scripts: list[str] = vars(options).pop("scripts", [])
    if not scripts:
        own.error("no SCRIPT is named")
    folder: str | None = vars(options).pop("kustomize", None)
    if words[index + 1 :]:
        try:
            options.args = [option_values.plain_text(word) for word in words[index + 1 :]]
        except argparse.ArgumentTypeError as error:
            own.error(str(error))
    return Given(scripts, options, folder, vars(options).pop("together", None))


def _output(checks: Sequence[Check], folder: str | None) -> str:
    """Return what goes to stdout: the resources, or what was written into `folder`."""
    if folder is None:
        return to_yaml([one for check in checks for one in _resources(check)])
    done = kustomization.write(folder, kustomization.layout(checks, folder))
    return (
        f"{folder}: {_count(len(checks), 'check')}; {_count(done.written, 'file')} written,"
        f" {done.unchanged} unchanged, {done.removed} removed\n"
    )


def _resources(check: Check) -> list[Resource]:
    return [config_map(check), *other_resources(check)]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _notes(checks: Sequence[Check], left_out: Sequence[str]) -> Iterator[str]:
    """Yield what a person should know of what was written; each thing once."""
    notes: dict[str, list[str]] = {}
    for check in checks:
        for note in _notes_on(check):
            notes.setdefault(note, []).append(check.name)
    for note, names in notes.items():
        yield note if len(names) == len(checks) else f"of {some_of(names)}: {note}"
    if left_out:
        yield (
            f"{some_of(left_out)} {'is' if len(left_out) == 1 else 'are'} no script: a file of a folder"
            f" is one that {MARKS}"
        )


def _notes_on(check: Check) -> Iterator[str]:
    image = check.khshim_image
    if not kubernetes.has_registry(image):
        yield (
            f"the image {image} is in no registry, so that each node must have it already"
            f" (kind load docker-image {image}); else push it, and name it as it is called"
            " there: --image registry.example/khshim:1.2"
        )
    if check.in_image is not None and check.user is None:
        yield (
            f"no pod of this kind may run as root: if {check.in_image} does, or names its user"
            " without a number, the pod will not start; then say --user 65532, or which it needs"
        )
    if check.image_volume:
        yield (
            "the schema of checks that Kuberhealthy v3.0.13 comes with knows no image volumes, so"
            " that the API server refuses them until it is amended: see docs/RUNTIME.md"
        )
    if check.server is Server.V3 and not check.interval:
        yield (
            "Kuberhealthy v3.0.13 does not read singleRunOnly yet: the check will run again after"
            f" {ONCE_INTERVAL}"
        )
    if not all(map(kubernetes.fits_last_applied, _resources(check))):
        yield (
            "`kubectl apply` would refuse a script of this size, since it keeps a copy in an"
            " annotation of at most 256 KiB: use `kubectl apply --server-side`"
        )
    settings = Settings(check.plain_env, [check.script.path, *check.args])
    yield from (doubt.message() for doubt in doubts(settings))

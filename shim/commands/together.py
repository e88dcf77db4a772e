"""`khshim manifest --together`: one check that runs several scripts in one pod."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TypeVar

from shim.commands.check import Check, validate
from shim.commands.sources import ManifestError
from shim.folder.find import MARKS, is_script

T = TypeVar("T")

RULE = f"a script of a folder {MARKS}, and is not hidden"

# Of the scripts' options these are put together; all others must be alike.
OF_EACH = frozenset({"script", "args", "files", "env", "env_from", "role", "cluster_role"})


def together(checks: Sequence[Check]) -> Check:
    """Return the one check for the scripts of `checks`; raises ManifestError."""
    if not checks:
        raise ManifestError("no script is left: each one is another's file=")
    first = checks[0]
    needed = {file.name: check.script.path for check in checks for file in check.files}
    for check in checks:
        name = check.script.path
        if check.args:
            raise ManifestError(f"{name}: the scripts of one pod get no arguments")
        if check.script.name in needed:
            raise ManifestError(
                f"{name} is a file of {needed[check.script.name]}, and so would not be run in the pod"
            )
        if check.script.name.startswith(".") or not is_script(name, check.script.text):
            raise ManifestError(f"{name} would not be run in the pod: {RULE}")
        for field in Check._fields:
            if field not in OF_EACH and getattr(check, field) != getattr(first, field):
                raise ManifestError(
                    f"{name} is to have another {field.replace('_', '-')} than"
                    f" {first.script.path}, and in one pod there is one for all"
                )
    files = _each_once([[check.script, *check.files] for check in checks])
    one = first._replace(
        script=files[0],
        files=files[1:],
        env=_each_once([check.env for check in checks]),
        env_from=_each_once([check.env_from for check in checks]),
        role=_each_once([check.role for check in checks]),
        cluster_role=_each_once([check.cluster_role for check in checks]),
        is_folder=True,
    )
    validate(one)
    return one


def _each_once(lists: Sequence[Sequence[T]]) -> list[T]:
    return list(dict.fromkeys(chain.from_iterable(lists)))

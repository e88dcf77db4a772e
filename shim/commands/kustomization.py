"""Checks as a folder to commit: a kustomization, one file for each check, scripts as plain files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from shim.commands.check import Check
from shim.commands.resources import other_resources
from shim.commands.sources import STDIN, File, ManifestError
from shim.commands.yaml_text import to_yaml

KUSTOMIZATION = "kustomization.yaml"
SCRIPTS = "scripts"
# What khshim has written, as sha256sum(1) writes and checks it.
RECORD = ".khshim.sha256"
COMMENT = "# Made by khshim manifest, which does not overwrite what was changed by hand.\n"


class Written(NamedTuple):
    """How many files of a folder were written, were right already, and were removed."""

    written: int
    unchanged: int
    removed: int


def layout(checks: Sequence[Check], folder: str) -> dict[str, str]:
    """Return the files of a kustomization: their texts by their paths in `folder`.

    A script that is in `folder` already stays where it is. Raises ManifestError where two
    files would have one path.
    """
    files: dict[str, str] = {}
    resources, generators = [], []
    for check in checks:
        path = f"{check.name}.yaml"
        if path == KUSTOMIZATION:
            raise ManifestError(f"a check named {check.name} would be the kustomization itself")
        _add(files, path, COMMENT + to_yaml(other_resources(check)))
        resources.append(path)
        generator: dict[str, Any] = {"name": check.name}
        if check.namespace:
            generator["namespace"] = check.namespace
        generator["files"] = []
        for file in (check.script, *check.files):
            place = _place(file, folder)
            _add(files, place, file.text)
            generator["files"].append(place)
        generators.append(generator)
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": resources,
        "configMapGenerator": generators,
        # Kustomize does not know that a check names a ConfigMap, so the name stays as it is.
        "generatorOptions": {"disableNameSuffixHash": True},
    }
    files[KUSTOMIZATION] = COMMENT + to_yaml([kustomization])
    return files


def write(folder: str, files: Mapping[str, str]) -> Written:
    """Write the files of `layout`, and remove those of an earlier call that are none any more.

    Raises ManifestError, before anything is written, where that would overwrite what khshim
    has not written.
    """
    try:
        return _write(Path(folder), files)
    except OSError as error:
        raise ManifestError(
            f"{error.filename or folder} cannot be written: {error.strerror}"
        ) from error


def _write(folder: Path, files: Mapping[str, str]) -> Written:
    record = _read_record(folder)
    found = {path: _digest(folder / path) for path in {*files, *record}}
    wanted = {path: hashlib.sha256(text.encode()).hexdigest() for path, text in files.items()}
    to_write = [path for path in files if found[path] != wanted[path]]
    for path in to_write:
        if found[path] not in (None, record.get(path)):
            raise ManifestError(
                f"{folder / path} is not as khshim wrote it, or not khshim's at all: move it away,"
                " or name another folder (nothing was written)"
            )
    stale = [path for path in record if path not in files and found[path] == record[path]]
    for path in to_write:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(files[path].encode())
    for path in stale:
        (folder / path).unlink()
    # A script that was there before is its author's, and stays so.
    own = sorted(path for path in files if path in to_write or path in record)
    (folder / RECORD).write_text("".join(f"{wanted[path]}  {path}\n" for path in own))
    return Written(len(to_write), len(files) - len(to_write), len(stale))


def _read_record(folder: Path) -> dict[str, str]:
    """Return the digests of what khshim wrote at its last call, by path; {} at the first."""
    try:
        text = (folder / RECORD).read_text()
    except FileNotFoundError:
        return {}
    pairs = (line.partition("  ") for line in text.split("\n"))
    return {path: digest for digest, _, path in pairs if path and not _leads_out(path)}


def _leads_out(path: str) -> bool:
    """Tell whether a path is not one in the folder: the record comes with a repository."""
    return path.startswith("/") or ".." in path.split("/")


def _digest(path: Path) -> str | None:
    """Return the SHA-256 of a file's content, None where there is no file."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return None


def _place(file: File, folder: str) -> str:
    """Return the path of a script in the folder: its own if it is there, else among the copies."""
    if file.path != STDIN:
        path = os.path.relpath(os.path.realpath(file.path), os.path.realpath(folder))
        # To kustomize an equals sign divides a name from a path.
        if not path.startswith("..") and "=" not in path:
            return path
    return f"{SCRIPTS}/{file.name}"


def _add(files: dict[str, str], path: str, text: str) -> None:
    if files.setdefault(path, text) != text:
        raise ManifestError(
            f"two files would be {path}: give one of the scripts, or of the checks, another name"
        )

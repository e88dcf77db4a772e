"""What `khshim try` takes from a script's own lines, so that it is tried as its check will run."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from shim import durations, executable
from shim.commands.sources import File
from shim.folder.find import HEADER
from shim.kuberhealthy import Server

DEFAULT_SERVER = Server.V3
DEFAULT_TIMEOUT = 30.0


class Plan(NamedTuple):
    """How a script is tried. `timeout` is in seconds; `folder` is where it runs, if not here.

    `env` is what its check adds to the environment, and `missing` are sentences on what it
    adds in the cluster and cannot be had here.
    """

    command: list[str]
    server: Server
    timeout: float
    env: dict[str, str]
    folder: str | None
    missing: list[str]


def plan(
    command: Sequence[str],
    server: Server | None,
    timeout: float | None,
    environ: Mapping[str, str],
) -> Plan:
    """Return how to try `command`, or the script that SHIM_SCRIPT names.

    What is given here wins over what the script says, and so does a variable that is set.
    Raises ManifestError where the script's lines are wrong.
    """
    words = list(command)
    script = words[0] if words else environ.get("SHIM_SCRIPT", "")
    file = _read(script)
    own = Namespace() if file is None else _options(file)
    env, missing = {}, []
    for variable in getattr(own, "env", []):
        if environ.get(variable.name):
            continue
        if isinstance(variable.value, str):
            env[variable.name] = variable.value
        else:
            missing.append(
                f"{script} has {variable.name} from the secret {variable.value.secret} in the"
                " cluster, and it is not set here"
            )
    for field, name in getattr(own, "env_from", []):
        kind = "secret" if "secret" in field.lower() else "ConfigMap"
        missing.append(f"{script} has the variables of the {kind} {name} in the cluster")
    folder = None
    if file is not None and getattr(own, "files", []):
        # In the pod they are all in one folder, the working directory.
        folder, script = os.path.dirname(file.path) or ".", os.path.abspath(file.path)
        words[:1] = [script]
    if len(words) < 2 and getattr(own, "args", []) and not environ.get("SHIM_ARGS"):
        words = [script, *own.args]
    return Plan(
        words,
        server or Server(getattr(own, "server", DEFAULT_SERVER.value)),
        timeout or durations.parse(getattr(own, "timeout", f"{DEFAULT_TIMEOUT}")),
        env,
        folder,
        missing,
    )


def _read(script: str) -> File | None:
    """Return the script if it says something of its check; what is wrong with it the run tells."""
    try:
        path = executable.find(script)
        with open(path, "rb") as file:
            text = file.read().decode("utf-8", "replace")
    except (executable.StartError, OSError, ValueError):
        return None
    if not any(HEADER.match(line) for line in text.split("\n")):
        return None
    return File(path, os.path.basename(path), text)


def _options(file: File) -> Namespace:
    # Most scripts say nothing, and these have much to import.
    from shim.commands import header, manifest_options

    return header.read(file, manifest_options.parser(header.HeaderParser))

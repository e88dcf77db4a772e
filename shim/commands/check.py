"""What `khshim manifest` is asked for, and whether it can be a check."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import shim
from shim import durations
from shim.commands import kubernetes
from shim.kuberhealthy import REPORT_RESERVE, Server
from shim.settings import SETTINGS

GRACE_PERIOD = 5.0


class ManifestError(Exception):
    """What was asked for cannot be a check; the message is a sentence that says why."""


class Check(NamedTuple):
    """What is asked for; durations as Go writes them, `interval` "" for one run."""

    script: str
    args: list[str]
    name: str
    interval: str
    timeout: str
    server: Server = Server.V3
    image: str = f"khshim:{shim.__version__}"
    namespace: str | None = None
    env: Sequence[tuple[str, str]] = ()
    secret_env: Sequence[tuple[str, str, str]] = ()
    labels: Sequence[tuple[str, str]] = ()
    annotations: Sequence[tuple[str, str]] = ()

    @property
    def file_name(self) -> str:
        """The script's name in the ConfigMap."""
        return os.path.basename(self.script)


def validate(check: Check) -> None:
    """Raise ManifestError where a cluster would refuse the check, or run it otherwise."""
    for option, name in (("--name", check.name), ("--namespace", check.namespace)):
        if name is not None and not kubernetes.is_label(name):
            raise ManifestError(
                f"{option} {name}: Kubernetes wants at most 63 lower-case letters, digits and dashes,"
                " with a letter or digit at both ends"
            )
    if not kubernetes.is_image(check.image):
        raise ManifestError(
            f"--image '{check.image}': an image's name is written like registry.example/khshim:1.2"
        )
    if not kubernetes.is_config_key(check.file_name):
        raise ManifestError(
            f"{check.file_name}: in a ConfigMap a file's name is made of letters, digits, '-', '_'"
            " and '.'"
        )
    _validate_variables(check)
    _validate_labels(check)
    _validate_durations(check)
    try:
        "".join([*check.args, *(value for _, value in [*check.env, *check.annotations])]).encode()
    except UnicodeEncodeError:
        raise ManifestError(
            "an argument, a variable or an annotation is not UTF-8, as all in a manifest is"
        ) from None


def _validate_variables(check: Check) -> None:
    settings = {setting.name: setting for setting in SETTINGS}
    names = [pair[0] for pair in check.env] + [triple[0] for triple in check.secret_env]
    for name in names:
        if not kubernetes.is_variable(name):
            raise ManifestError(f"{name} is not a name for an environment variable")
        if name == "SHIM_CHECK_NAME":
            raise ManifestError("SHIM_CHECK_NAME is set to what --name says: leave it out")
        if name in settings and name.startswith("KH_"):
            raise ManifestError(f"{name} is set by Kuberhealthy for each run: leave it out")
    _refuse_twins("the variable", names)
    for name, value in check.env:
        # A file that a setting names is in the pod and not here.
        if value and name in settings and not name.endswith("_FILE"):
            problem = settings[name].problem(value)
            if problem is not None:
                raise ManifestError(problem)
    for name, secret, key in check.secret_env:
        if not kubernetes.is_subdomain(secret):
            raise ManifestError(
                f"--secret-env {name}={secret}/{key}: a secret's name is made of lower-case letters,"
                " digits, '-' and '.', with a letter or digit at both ends"
            )
        if not kubernetes.is_config_key(key):
            raise ManifestError(
                f"--secret-env {name}={secret}/{key}: a secret's key is made of letters, digits, '-',"
                " '_' and '.'"
            )


def _validate_labels(check: Check) -> None:
    key_rule = (
        "a key is at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both"
        " ends; a domain and a slash may come before it"
    )
    for key, value in check.labels:
        if not kubernetes.is_label_key(key):
            raise ManifestError(f"--label {key}={value}: {key_rule}")
        if not kubernetes.is_label_value(value):
            raise ManifestError(
                f"--label {key}={value}: a value is at most 63 letters, digits, '-', '_' and '.', with"
                " a letter or digit at both ends; an --annotation can be any text"
            )
    for key, value in check.annotations:
        if not kubernetes.is_annotation_key(key):
            raise ManifestError(f"--annotation {key}={value}: {key_rule}")
    _refuse_twins("--label", [key for key, _ in check.labels])
    _refuse_twins("--annotation", [key for key, _ in check.annotations])


def _refuse_twins(what: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ManifestError(f"{what} {name} is given twice")


def _validate_durations(check: Check) -> None:
    timeout = _duration("--timeout", check.timeout)
    least = 3 * (REPORT_RESERVE[check.server] + GRACE_PERIOD)
    if timeout < least:
        raise ManifestError(
            f"--timeout {check.timeout} leaves no room: on {check.server.value} khshim keeps"
            f" {REPORT_RESERVE[check.server]:g}s for the report and {GRACE_PERIOD:g}s for the script"
            f" to end, so it should be {least:g}s or more"
        )
    if check.interval and _duration("--interval", check.interval) < timeout:
        raise ManifestError(
            f"--interval {check.interval} is shorter than --timeout {check.timeout}: runs would overlap"
        )


def _duration(option: str, text: str) -> float:
    try:
        return durations.parse_go(text)
    except ValueError:
        raise ManifestError(
            f"{option} {text} is not a duration to Go, and one of those in the cluster can make"
            " Kuberhealthy refuse every report; write 30s, 5m or 1h30m"
        ) from None

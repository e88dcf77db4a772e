"""`khshim manifest`: writes the resources that run a script as a Kuberhealthy check."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import shim
from shim import durations, executable
from shim.commands.arguments import Parser
from shim.kuberhealthy import REPORT_RESERVE, Server

MOUNT_PATH = "/checks"
# etcd's limit for one object, and so for the data of a ConfigMap.
CONFIG_MAP_LIMIT = 1024 * 1024
# RFC 1123 labels, as Kubernetes wants them; a check's name becomes a label's value too.
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
CONFIG_MAP_KEY = re.compile(r"(?!\.\.?$|\.\.)[-._a-zA-Z0-9]{1,253}")
VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
GRACE_PERIOD = 5.0
# Runs once a year what v3 shall run once, since it does not read singleRunOnly yet.
ONCE_INTERVAL = "8760h"

# Measured in a container: 16 MiB for khshim with sh and curl. The rest is the script's.
RESOURCES = {
    "requests": {"cpu": "10m", "memory": "32Mi"},
    "limits": {"memory": "64Mi"},
}

Resource = dict[str, Any]


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


def main(words: Sequence[str]) -> int:
    """Write the manifest that `words` ask for to stdout; return 0, or 1 where it cannot be had."""
    check = _parse(words)
    try:
        text = to_yaml(resources(check))
    except ManifestError as error:
        sys.stderr.write(f"khshim manifest: {error}\n")
        return 1
    if check.server is Server.V3 and not check.interval:
        sys.stderr.write(
            "khshim manifest: note that Kuberhealthy v3.0.13 does not read singleRunOnly yet:"
            f" the check will run again after {ONCE_INTERVAL}\n"
        )
    sys.stdout.write(text)
    return 0


def resources(check: Check) -> list[Resource]:
    """Return the ConfigMap and the check; raises ManifestError."""
    file_name = os.path.basename(check.script)
    _validate(check)
    script = _read(check.script, file_name)
    metadata: Resource = {"name": check.name}
    if check.namespace:
        metadata["namespace"] = check.namespace
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {file_name: script},
    }
    pod = _pod(check, file_name)
    spec: Resource = {"runInterval": check.interval, "timeout": check.timeout}
    if check.server is Server.V3:
        kind, api = "HealthCheck", "kuberhealthy.github.io/v2"
        if not check.interval:
            spec = {
                "singleRunOnly": True,
                "runInterval": ONCE_INTERVAL,
                "timeout": check.timeout,
            }
        pod = {"spec": pod}
    else:
        kind, api = "KuberhealthyCheck", "comcast.github.io/v1"
        if not check.interval:
            kind, spec = "KuberhealthyJob", {"timeout": check.timeout}
    if check.labels:
        spec["extraLabels"] = dict(check.labels)
    if check.annotations:
        spec["extraAnnotations"] = dict(check.annotations)
    spec["podSpec"] = pod
    return [
        config_map,
        {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec},
    ]


def to_yaml(documents: Sequence[Resource]) -> str:
    """Return the documents as YAML, keys in their order, texts of several lines as blocks."""
    try:
        import yaml  # the extra khshim[manifest]
    except ImportError:
        raise ManifestError("writing YAML needs PyYAML: pip install 'khshim[manifest]'") from None

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
        style = "|" if "\n" in text else None
        if BREAKS.search(text):
            style = '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)

    Dumper.add_representer(str, represent_text)
    return yaml.dump_all(documents, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)


# What a literal block can hold as it is: printable lines with something in the first.
BLOCK = re.compile(r"[!-~][\t -~\xa0-\ud7ff\ue000-\ufefe]*\n[\t\n -~\xa0-\ud7ff\ue000-\ufefe]*")
# Line breaks of YAML 1.1 besides the newline, which readers may turn into one.
BREAKS = re.compile("[\x85\u2028\u2029]")


def _validate(check: Check) -> None:
    for what, name in (("--name", check.name), ("--namespace", check.namespace)):
        if name is not None and not NAME.fullmatch(name):
            raise ManifestError(
                f"{what} {name}: Kubernetes wants at most 63 lower-case letters, digits and dashes,"
                " with a letter or digit at both ends"
            )
    for variable in [pair[0] for pair in check.env] + [triple[0] for triple in check.secret_env]:
        if not VARIABLE.fullmatch(variable):
            raise ManifestError(f"{variable} is not a name for an environment variable")
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


def _read(path: str, file_name: str) -> str:
    if not CONFIG_MAP_KEY.fullmatch(file_name):
        raise ManifestError(
            f"{file_name}: in a ConfigMap a file's name is made of letters, digits, '-', '_' and '.'"
        )
    try:
        with open(path, "rb") as file:
            data = file.read(CONFIG_MAP_LIMIT + 1)
        # A ConfigMap's files are not executable.
        head = data[: executable.FIRST_LINE_LIMIT]
        problem = executable.text_problem_of(head, file_name, is_executable=False)
        if problem is not None:
            raise ManifestError(f"{path} {problem.found}: {problem.advice}")
        text = data.decode()
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        text = "\0"
    if len(data) > CONFIG_MAP_LIMIT:
        raise ManifestError(f"{path} is larger than the 1 MiB of a ConfigMap: put it into an image")
    if "\0" in text:
        raise ManifestError(f"{path} is not text: put it into an image")
    if not text.strip():
        raise ManifestError(f"{path} is empty")
    return text


def _pod(check: Check, file_name: str) -> Resource:
    container: Resource = {
        "name": "check",
        "image": check.image,
        "args": [f"{MOUNT_PATH}/{file_name}", *check.args],
    }
    variables = [("SHIM_CHECK_NAME", check.name), *check.env]
    env: list[Resource] = [{"name": name, "value": value} for name, value in variables]
    for name, secret, key in check.secret_env:
        env.append({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}})
    container |= {
        "env": env,
        "resources": RESOURCES,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "checks", "mountPath": MOUNT_PATH, "readOnly": True}],
    }
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "checks", "configMap": {"name": check.name}}],
    }


def _parse(words: Sequence[str]) -> Check:
    parser = Parser("khshim manifest", add_help=False, allow_abbrev=False)
    parser.add_argument("--name", required=True)
    often = parser.add_mutually_exclusive_group(required=True)
    often.add_argument("--interval", default="")
    often.add_argument("--once", action="store_true")
    parser.add_argument("--timeout", required=True)
    parser.add_argument("--server", choices=[server.value for server in Server], default="v3")
    parser.add_argument("--image", default=Check._field_defaults["image"])
    parser.add_argument("--namespace")
    parser.add_argument("--env", action="append", default=[], type=_pair)
    parser.add_argument("--secret-env", action="append", default=[], type=_secret)
    parser.add_argument("--label", action="append", default=[], type=_pair)
    parser.add_argument("--annotation", action="append", default=[], type=_pair)
    # Options come before or behind the script; what follows "--" is the script's own.
    parser.add_argument("script")
    parser.add_argument("args", nargs="*")
    options = parser.parse_intermixed_args(words)
    return Check(
        script=options.script,
        args=options.args,
        name=options.name,
        interval=options.interval,
        timeout=options.timeout,
        server=Server(options.server),
        image=options.image,
        namespace=options.namespace,
        env=options.env,
        secret_env=options.secret_env,
        labels=options.label,
        annotations=options.annotation,
    )


def _pair(text: str) -> tuple[str, str]:
    """Split NAME=VALUE; the message of argparse names this function's type."""
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise ValueError(text)
    return name, value


def _secret(text: str) -> tuple[str, str, str]:
    name, _, reference = text.partition("=")
    secret, _, key = reference.partition("/")
    if not (name and secret and key):
        raise ValueError(text)
    return name, secret, key


_pair.__name__ = "NAME=VALUE"
_secret.__name__ = "NAME=SECRET/KEY"

"""`khshim manifest`: writes the resources that run scripts as Kuberhealthy checks."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from shim.commands import kubernetes, kustomization, option_values
from shim.commands.arguments import Parser
from shim.commands.check import Check
from shim.commands.gather import gather
from shim.commands.header import HeaderParser
from shim.commands.output import complain, put
from shim.commands.resources import (
    MEMORY_LIMIT,
    ONCE_INTERVAL,
    Resource,
    config_map,
    other_resources,
)
from shim.commands.sources import ManifestError
from shim.commands.yaml_text import to_yaml
from shim.executable import NAMES_SHOWN
from shim.kuberhealthy import Server
from shim.observe.telling import doubts
from shim.settings import Settings

DESCRIPTION = """\
Write the resources that run scripts as Kuberhealthy checks, for kubectl apply -f -.
A SCRIPT is a path, a folder of scripts, a bundled one by its name, or - for stdin.
What follows -- are the script's arguments."""
EPILOG = """\
A script can say of itself what its check needs, as options without their dashes:

  # khshim: interval=5m timeout=1m server=v2 env=URL=http://web
  # khshim: env='TEXT=two words' -- --verbose

That wins over the command line, which is for all scripts; variables, labels and the
like are added up. Files are named as seen from the script.

Examples:
  khshim manifest check.sh --interval 5m --timeout 1m --env URL=http://web
  khshim manifest checks/ --interval 5m --timeout 1m --kustomize deploy
  khshim manifest http_check.sh --interval 1m --timeout 30s -- http://web
"""
DEFAULTS = Check._field_defaults


class Given(NamedTuple):
    """What the command line says: the scripts, the options for all of them, and where to write."""

    words: list[str]
    options: argparse.Namespace
    folder: str | None


def parser(kind: type[Parser] = Parser) -> Parser:
    """Return the parser of the command line and of scripts' own lines; no option has a default."""
    parser = kind(
        "khshim manifest",
        usage="khshim manifest [OPTION...] SCRIPT... [-- ARG...]",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument(
        "scripts",
        nargs="*",
        metavar="SCRIPT",
        help="a file, a folder, a bundled script's name or -",
    )
    parser.add_argument(
        "--kustomize", metavar="DIR", help="write a folder to commit, for kubectl apply -k DIR"
    )

    check = parser.add_argument_group("the check")
    often = check.add_mutually_exclusive_group()
    often.add_argument(
        "--interval", metavar="DURATION", type=option_values.duration, help="how often it runs: 5m"
    )
    often.add_argument(
        "--once", dest="interval", action="store_const", const="", help="it runs a single time"
    )
    check.add_argument(
        "--timeout",
        metavar="DURATION",
        type=option_values.duration,
        help="how long one run may take, start and report included: 1m",
    )
    check.add_argument(
        "--server",
        choices=[server.value for server in Server],
        help=f"the release line of Kuberhealthy (default: {DEFAULTS['server'].value})",
    )
    check.add_argument(
        "--name",
        metavar="NAME",
        type=option_values.label,
        help="the check's name (default: the file's, web_shop.sh becomes web-shop)",
    )
    check.add_argument(
        "--namespace",
        metavar="NAME",
        type=option_values.label,
        help="the namespace of check and pod (default: kubectl's)",
    )
    check.add_argument(
        "--label",
        dest="labels",
        metavar="KEY=VALUE",
        action="append",
        type=option_values.label_pair,
        help="a label for the pods; can be given several times",
    )
    check.add_argument(
        "--annotation",
        dest="annotations",
        metavar="KEY=VALUE",
        action="append",
        type=option_values.annotation,
        help="an annotation for the pods; can be given several times",
    )

    script = parser.add_argument_group("what the script gets")
    script.add_argument(
        "--env",
        metavar="NAME=VALUE",
        action="append",
        type=option_values.variable,
        help="a variable, or a setting of khshim; can be given several times",
    )
    script.add_argument(
        "--secret-env",
        dest="env",
        metavar="NAME=SECRET/KEY",
        action="append",
        type=option_values.secret_variable,
        help="a variable from a secret; can be given several times",
    )
    script.add_argument(
        "--env-from",
        metavar="KIND/NAME",
        action="append",
        type=option_values.variables_source,
        help="all variables of secret/NAME or configmap/NAME; can be given several times",
    )
    script.add_argument(
        "--file",
        dest="files",
        metavar="FILE",
        action="append",
        help="a file beside the script, which is then also the working directory, such as one"
        " that it sources; can be given several times",
    )
    script.add_argument(
        "--memory",
        metavar="QUANTITY",
        type=option_values.memory,
        help="memory for script and khshim, requested and limited"
        f" (default: a limit of {MEMORY_LIMIT})",
    )
    script.add_argument(
        "--cpu",
        metavar="QUANTITY",
        type=option_values.cpu,
        help=f"processor time requested; there is no limit (default: {DEFAULTS['cpu']})",
    )

    rights = parser.add_argument_group("its rights in the cluster (none by default)")
    rights.add_argument(
        "--service-account",
        metavar="NAME",
        type=option_values.object_name,
        help="the service account whose token it gets; with a role by default one of its own",
    )
    rights.add_argument(
        "--role",
        metavar="RESOURCE,...",
        action="extend",
        type=option_values.namespaced_resources,
        help="what it may get, list and watch in its namespace: pods,deployments,pods/log",
    )
    rights.add_argument(
        "--cluster-role",
        metavar="RESOURCE,...",
        action="extend",
        type=option_values.any_resources,
        help="the same in the whole cluster: nodes,pods; needs --namespace",
    )

    pod = parser.add_argument_group("its pod")
    pod.add_argument(
        "--image",
        metavar="IMAGE",
        type=option_values.image,
        help=f"the image with khshim, as the nodes can pull it (default: {DEFAULTS['image']})",
    )
    pod.add_argument(
        "--in",
        dest="in_image",
        metavar="IMAGE",
        type=option_values.image,
        help="another image to run the script in, such as postgres:17; an init container puts khshim"
        f" into it, from --image (default then: {DEFAULTS['image']}-runtime)",
    )
    pod.add_argument(
        "--image-volume",
        action="store_true",
        help="with --in, put khshim into it by an image volume (Kubernetes 1.33 and later)",
    )
    pod.add_argument(
        "--user",
        metavar="UID[:GID]",
        type=option_values.user,
        help="the user that the script runs as (default: the image's)",
    )
    pod.add_argument(
        "--pull-secret",
        dest="pull_secrets",
        metavar="NAME",
        action="append",
        type=option_values.object_name,
        help="the secret for a private registry; can be given several times",
    )
    pod.add_argument(
        "--node-selector",
        metavar="KEY=VALUE",
        action="append",
        type=option_values.label_pair,
        help="a label that its node must have; can be given several times",
    )
    pod.add_argument(
        "--toleration",
        dest="tolerations",
        metavar="KEY[=VALUE][:EFFECT]",
        action="append",
        type=option_values.toleration,
        help="a taint that its node may have; can be given several times",
    )
    pod.add_argument(
        "--priority-class",
        metavar="NAME",
        type=option_values.object_name,
        help="the priority class of its pods",
    )
    return parser


def main(words: Sequence[str]) -> int:
    """Write what `words` ask for; return 0, or 1 where it cannot be had."""
    given = _parse(words)
    try:
        checks, left_out = gather(given.words, given.options, parser(HeaderParser))
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
    return Given(scripts, options, folder)


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
        yield note if len(names) == len(checks) else f"of {_shown(names)}: {note}"
    if left_out:
        yield (
            f"{_shown(left_out)} {'is' if len(left_out) == 1 else 'are'} no script: a file of a folder"
            " is one that begins with #!, is named .sh or .py, or has a line # khshim:"
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


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return f"{', '.join(names[:NAMES_SHOWN])}{more}"

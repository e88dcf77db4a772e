"""The options of `khshim manifest`, also of a script's own lines."""

from __future__ import annotations

import argparse

from shim.commands import option_values
from shim.commands.arguments import Parser
from shim.commands.check import Check
from shim.commands.resources import MEMORY_LIMIT
from shim.kuberhealthy import Server

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
  khshim manifest checks/ --interval 5m --timeout 2m --together shop
  khshim manifest http_check.sh --interval 1m --timeout 30s -- http://web
"""
DEFAULTS = Check._field_defaults


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
    parser.add_argument(
        "--together",
        metavar="NAME",
        type=option_values.label,
        help="make one check of all scripts, which one pod runs",
    )
    _add_check_options(parser.add_argument_group("the check"))
    _add_script_options(parser.add_argument_group("what the script gets"))
    _add_rights(parser.add_argument_group("its rights in the cluster (none by default)"))
    _add_pod_options(parser.add_argument_group("its pod"))
    return parser


def _add_check_options(check: argparse._ArgumentGroup) -> None:
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


def _add_script_options(script: argparse._ArgumentGroup) -> None:
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


def _add_rights(rights: argparse._ArgumentGroup) -> None:
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


def _add_pod_options(pod: argparse._ArgumentGroup) -> None:
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

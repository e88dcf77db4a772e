"""`khshim manifest`: writes the resources that run a script as a Kuberhealthy check."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence

from shim.commands.arguments import Parser
from shim.commands.check import Check, ManifestError
from shim.commands.kubernetes import fits_last_applied
from shim.commands.output import complain, put
from shim.commands.resources import ONCE_INTERVAL, Resource, resources
from shim.commands.yaml_text import to_yaml
from shim.kuberhealthy import Server
from shim.observe.telling import doubts
from shim.settings import Settings


def main(words: Sequence[str]) -> int:
    """Write the manifest that `words` ask for to stdout; return 0, or 1 where it cannot be had."""
    check = _parse(words)
    try:
        documents = resources(check)
        text = to_yaml(documents)
    except ManifestError as error:
        return _fail(str(error))
    except ImportError:
        return _fail("writing YAML needs PyYAML: pip install 'khshim[manifest]'")
    for note in _notes(check, documents):
        complain(f"khshim manifest: note that {note}\n")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # whatever this terminal's locale is
    return put(text, 0)


def _fail(sentence: str) -> int:
    complain(f"khshim manifest: {sentence}\n")
    return 1


def _notes(check: Check, documents: Sequence[Resource]) -> Iterator[str]:
    """Yield what a person should know of a manifest that can be had."""
    if check.server is Server.V3 and not check.interval:
        yield (
            "Kuberhealthy v3.0.13 does not read singleRunOnly yet: the check will run again after"
            f" {ONCE_INTERVAL}"
        )
    if not all(map(fits_last_applied, documents)):
        yield (
            "`kubectl apply` would refuse a script of this size, since it keeps a copy in an"
            " annotation of at most 256 KiB: use `kubectl apply --server-side`"
        )
    settings = Settings(dict(check.env), [check.script, *check.args])
    yield from (doubt.message() for doubt in doubts(settings))


def parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser("khshim manifest", allow_abbrev=False)
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
    return parser


def _parse(words: Sequence[str]) -> Check:
    options = parser().parse_intermixed_args(words)
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

"""How the text of an option of `khshim manifest` becomes a value.

Each function raises ArgumentTypeError, with a sentence that begins with the text, where a
cluster would refuse it or understand it otherwise.
"""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from fractions import Fraction
from typing import NamedTuple

from shim import durations
from shim.commands import kubernetes
from shim.commands.rbac import ApiResource, api_resource
from shim.settings import SETTINGS

# What khshim and a shell script were measured to need, besides what the script does.
LEAST_MEMORY = "32Mi"
LARGEST_ID = 2**31 - 1  # of a user or a group, to Kubernetes
TOLERATION_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
KEY_RULE = (
    "a key is at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both"
    " ends; a domain and a slash may come before it"
)


class SecretKey(NamedTuple):
    """One entry of a secret."""

    secret: str
    key: str


class Variable(NamedTuple):
    """An environment variable of the container."""

    name: str
    value: str | SecretKey


class User(NamedTuple):
    """A user by number, and a group."""

    uid: int
    gid: int | None = None


def plain_text(text: str) -> str:
    """Return any text that can be written into a manifest."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ArgumentTypeError(f"{text} is not UTF-8, as all in a manifest is") from None
    return text


def label(text: str) -> str:
    """Return the name of a check or of a namespace."""
    if not kubernetes.is_label(text):
        raise ArgumentTypeError(
            f"{text}: Kubernetes wants at most 63 lower-case letters, digits and dashes, with a"
            " letter or digit at both ends"
        )
    return text


def object_name(text: str) -> str:
    """Return the name of a secret, a service account or a priority class."""
    if not kubernetes.is_subdomain(text):
        raise ArgumentTypeError(
            f"{text}: such a name is made of lower-case letters, digits, '-' and '.', with a letter"
            " or digit at both ends"
        )
    return text


def duration(text: str) -> str:
    """Return a duration that Go, and so Kuberhealthy, understands."""
    try:
        durations.parse_go(text)
    except ValueError:
        raise ArgumentTypeError(
            f"{text} is not a duration to Go, and one of those in the cluster can make Kuberhealthy"
            " refuse every report; write 30s, 5m or 1h30m"
        ) from None
    return text


def image(text: str) -> str:
    if not kubernetes.is_image(text):
        raise ArgumentTypeError(
            f"'{text}': an image's name is written like registry.example/khshim:1.2"
        )
    return text


def user(text: str) -> User:
    """Return the user of UID or UID:GID; root is none that a restricted pod may have."""
    uid, colon, gid = text.partition(":")
    numbers = [uid, gid] if colon else [uid]
    if not all(re.fullmatch("[0-9]{1,10}", number) for number in numbers):
        raise ArgumentTypeError(f"{text} is not written as UID or UID:GID, in numbers")
    if max(map(int, numbers)) > LARGEST_ID:
        raise ArgumentTypeError(f"{text}: such a number is at most {LARGEST_ID}")
    if int(uid) == 0:
        raise ArgumentTypeError(
            f"{text} is root, which the restricted Pod Security Standard forbids"
        )
    return User(*map(int, numbers))


def variable(text: str) -> Variable:
    """Return the variable of NAME=VALUE; a setting of khshim's is read as khshim would."""
    name, value = _pair(text, "NAME=VALUE")
    _check_variable(name)
    # A file that a setting names is in the pod and not here.
    setting = None if name.endswith("_FILE") else _SETTINGS.get(name)
    problem = setting.problem(value) if setting is not None and value else None
    if problem is not None:
        raise ArgumentTypeError(problem.removesuffix("."))
    return Variable(name, plain_text(value))


def secret_variable(text: str) -> Variable:
    """Return the variable of NAME=SECRET/KEY."""
    name, reference = _pair(text, "NAME=SECRET/KEY")
    secret, slash, key = reference.partition("/")
    if not (secret and slash and key):
        raise ArgumentTypeError(f"{text} is not written as NAME=SECRET/KEY")
    _check_variable(name)
    if not kubernetes.is_subdomain(secret):
        raise ArgumentTypeError(
            f"{text}: a secret's name is made of lower-case letters, digits, '-' and '.', with a"
            " letter or digit at both ends"
        )
    if not kubernetes.is_config_key(key):
        raise ArgumentTypeError(
            f"{text}: a secret's key is made of letters, digits, '-', '_' and '.'"
        )
    return Variable(name, SecretKey(secret, key))


def variables_source(text: str) -> tuple[str, str]:
    """Return the field of `envFrom` and the object's name for secret/NAME or configmap/NAME."""
    kind, _, name = text.partition("/")
    if kind not in _SOURCES or not name:
        raise ArgumentTypeError(f"{text} is not written as secret/NAME or configmap/NAME")
    return _SOURCES[kind], object_name(name)


def label_pair(text: str) -> tuple[str, str]:
    """Return the key and value of a label, KEY=VALUE."""
    key, value = _pair(text, "KEY=VALUE")
    if not kubernetes.is_label_key(key):
        raise ArgumentTypeError(f"{text}: {KEY_RULE}")
    if not kubernetes.is_label_value(value):
        raise ArgumentTypeError(
            f"{text}: a value is at most 63 letters, digits, '-', '_' and '.', with a letter or"
            " digit at both ends; an annotation's can be any text"
        )
    return key, value


def annotation(text: str) -> tuple[str, str]:
    """Return the key and value of an annotation, KEY=VALUE."""
    key, value = _pair(text, "KEY=VALUE")
    if not kubernetes.is_annotation_key(key):
        raise ArgumentTypeError(f"{text}: {KEY_RULE}")
    return key, plain_text(value)


def toleration(text: str) -> dict[str, str]:
    """Return the toleration of a taint as `kubectl taint` writes it, KEY[=VALUE][:EFFECT]."""
    taint, colon, effect = text.rpartition(":") if ":" in text else (text, "", "")
    key, has_value, value = taint.partition("=")
    if not kubernetes.is_label_key(key):
        raise ArgumentTypeError(f"{text} is not written as KEY[=VALUE][:EFFECT], and {KEY_RULE}")
    if not kubernetes.is_label_value(value):
        raise ArgumentTypeError(f"{text}: {value} cannot be the value of a taint")
    if colon and effect not in TOLERATION_EFFECTS:
        raise ArgumentTypeError(f"{text}: an effect is one of {', '.join(TOLERATION_EFFECTS)}")
    result = {"key": key, "operator": "Equal" if has_value else "Exists"}
    if has_value:
        result["value"] = value
    return {**result, "effect": effect} if effect else result


def memory(text: str) -> str:
    """Return a quantity of bytes that khshim itself fits into."""
    least = kubernetes.quantity(LEAST_MEMORY)
    if _quantity(text, "128Mi or 1Gi") < least:
        raise ArgumentTypeError(
            f"{text} is too little: khshim with a shell needs {LEAST_MEMORY}, and a script what it"
            " needs on top"
        )
    return text


def cpu(text: str) -> str:
    """Return a quantity of processors, of at least a thousandth, which is the least there is."""
    if _quantity(text, "100m or 0.5") < kubernetes.quantity("1m"):
        raise ArgumentTypeError(f"{text} is less than 1m, the least there is")
    return text


def namespaced_resources(text: str) -> list[ApiResource]:
    """Return the resources of a list such as pods,pods/log, of those that are in a namespace."""
    resources = any_resources(text)
    for resource in resources:
        if resource.is_namespaced is False:
            raise ArgumentTypeError(
                f"{resource.name} are in no namespace: --cluster-role {resource.name}"
            )
    return resources


def any_resources(text: str) -> list[ApiResource]:
    """Return the resources of a list such as nodes,deployments,certificates.cert-manager.io."""
    try:
        return [api_resource(word) for word in text.split(",")]
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


_SETTINGS = {setting.name: setting for setting in SETTINGS}
_SOURCES = {"secret": "secretRef", "configmap": "configMapRef"}


def _pair(text: str, form: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise ArgumentTypeError(f"{text} is not written as {form}")
    return name, value


def _check_variable(name: str) -> None:
    if not kubernetes.is_variable(name):
        raise ArgumentTypeError(f"{name} is not a name for an environment variable")
    if name == "SHIM_CHECK_NAME":
        raise ArgumentTypeError("SHIM_CHECK_NAME is set to the check's name: leave it out")
    if name in _SETTINGS and name.startswith("KH_"):
        raise ArgumentTypeError(f"{name} is set by Kuberhealthy for each run: leave it out")


def _quantity(text: str, examples: str) -> Fraction:
    try:
        return kubernetes.quantity(text)
    except ValueError:
        raise ArgumentTypeError(
            f"{text} is not a quantity to Kubernetes; write {examples}"
        ) from None

"""The variables of a bundled check: each is read and validated before anything else is done.

Every function takes a variable's name and, as a text like one that could be set, its default;
without one the variable is required. A variable that is set to nothing is not the default.
All raise InputError, a sentence with the name, the value and what was expected.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from shim import durations
from shim.checks.verdict import InputError
from shim.commands import kubernetes

A_HOST = "a host name or an address, without scheme, port and brackets"
# An item of a label selector (k8s.io/apimachinery/pkg/labels): a key, what it is compared with.
_KEY, _VALUE = r"[A-Za-z0-9][-A-Za-z0-9_./]*", r"[-A-Za-z0-9_.]*"
_REQUIREMENT = (
    rf"!?{_KEY}|{_KEY} ?(?:=|==|!=) ?{_VALUE}"
    rf"|{_KEY} (?:in|notin) \( ?{_VALUE}(?: ?, ?{_VALUE})* ?\)"
)
_SELECTOR = re.compile(rf"(?:{_REQUIREMENT})(?: ?, ?(?:{_REQUIREMENT}))*")

T = TypeVar("T")


def wrong(name: str, expected: str) -> InputError:
    """Return the error that says what a variable is and what was expected."""
    value = os.environ.get(name)
    found = "is not set" if value is None else f"is '{value}'"
    return InputError(f"{name} {found}: expected {expected}")


def text(name: str, expected: str, default: str | None = None) -> str:
    """Return a text that is not blank."""
    value = os.environ.get(name, default)
    if value is None or not value.strip():
        raise wrong(name, expected)
    return value


def is_set(name: str) -> bool:
    return name in os.environ


def number(name: str, default: str, lowest: float, highest: float) -> float:
    """Return a number that has no sign, exponent, blank or leading zero."""
    value = os.environ.get(name, default)
    if (
        not re.fullmatch(r"(0|[1-9][0-9]*)(\.[0-9]+)?", value)
        or not lowest <= float(value) <= highest
    ):
        raise wrong(name, f"a number from {lowest} to {highest}")
    return float(value)


def whole_number(name: str, default: str | None, lowest: int, highest: int) -> int:
    value = os.environ.get(name, default)
    if value is None or not re.fullmatch("0|[1-9][0-9]{0,8}", value):
        raise wrong(name, f"a whole number from {lowest} to {highest}")
    if not lowest <= int(value) <= highest:
        raise wrong(name, f"a whole number from {lowest} to {highest}")
    return int(value)


def port(name: str, default: str | None = None) -> int:
    return whole_number(name, default, 1, 65535)


def duration(name: str, default: str) -> float:
    """Return the seconds of a duration such as 90s, 10m, 1h30m or a plain number of seconds."""
    try:
        return durations.parse(os.environ.get(name, default))
    except ValueError:
        raise wrong(name, "a duration such as 90s, 10m or 1h30m") from None


def flag(name: str) -> bool:
    """Return whether a variable is true; it is false by default."""
    return choice(name, ("true", "false"), "false") == "true"


def choice(name: str, choices: Sequence[str], default: str) -> str:
    value = os.environ.get(name, default)
    if value not in choices:
        raise wrong(name, f"{', '.join(choices[:-1])} or {choices[-1]}")
    return value


def host(name: str, default: str | None = None) -> str:
    value = os.environ.get(name, default)
    if value is None or not is_host(value):
        raise wrong(name, A_HOST)
    return value


def is_host(value: str) -> bool:
    """Tell whether `value` is a name or an address, and no number, URL or name with a port."""
    try:
        value.encode("idna")
    except UnicodeError:  # an empty label, or one that is too long
        return False
    is_name = re.fullmatch(r"[\w:][\w.:%-]*", value) is not None and not value.isdecimal()
    return is_name and value.count(":") != 1


def items(
    name: str, parse: Callable[[str], T], expected: str, default: str | None = None
) -> list[T]:
    """Return the items of a variable, separated by blanks, of which there is at least one.

    `parse` raises ValueError for what is none. A `default` of "" stands for no item.
    """
    value = os.environ.get(name, default)
    if value == "" and name not in os.environ:
        return []
    words = (value or "").split()
    if not words:
        raise wrong(name, expected)
    try:
        return [parse(word) for word in words]
    except ValueError:
        raise wrong(name, expected) from None


def a_host(value: str) -> str:
    if not is_host(value):
        raise ValueError(value)
    return value


def an_address(value: str) -> str:
    """Return an IPv4 or IPv6 address as it is usually written."""
    return str(ipaddress.ip_address(value))


def an_object(value: str) -> str:
    """Return the name of an object of Kubernetes."""
    if not kubernetes.is_subdomain(value):
        raise ValueError(value)
    return value


def a_path(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError(value)
    return value


def selector(name: str) -> str:
    """Return a label selector as kubectl's --selector takes it, "" for none."""
    value = os.environ.get(name)
    if value is not None and not _SELECTOR.fullmatch(value):
        raise wrong(name, "a label selector such as app=web,tier!=test")
    return value or ""

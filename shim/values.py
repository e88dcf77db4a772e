"""Parsers for the settings: each takes the text of a variable and raises ValueError if it is wrong."""

import os
import stat

from shim import durations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    T = TypeVar("T")

BOOLEANS = {
    "true": True,
    "1": True,
    "yes": True,
    "false": False,
    "0": False,
    "no": False,
}


def optional(parse: "Callable[[str], T]") -> "Callable[[str], T | None]":
    """Return `parse`, typed for a setting that may be None."""
    return parse


def text(value: str) -> str:
    return value


def url(value: str) -> str:
    scheme, separator, rest = value.partition("://")
    address = rest.partition("/")[0].rpartition("@")[2]
    host, _, port = address.partition(":")
    if address.startswith("["):
        host, bracket, behind = address[1:].partition("]")
        colon, _, port = behind.partition(":")
        is_host = bracket != "" and colon == "" and _is_ipv6(host)
    else:
        is_host = host != "" and not set("[]") & set(address)
    is_port = port == "" or (port.isdecimal() and int(port) < 65536)
    is_http = separator != "" and scheme.lower() in ("http", "https")
    if not (is_http and is_host and is_port and _is_token(value)):
        raise ValueError(value)
    return value


def _is_ipv6(host: str) -> bool:
    """Tell whether `host` looks like an IPv6 address; name resolution finds other errors."""
    return host.count(":") >= 2 and set(host.partition("%")[0].lower()) <= set("0123456789abcdef:.")


def token(value: str) -> str:
    if not _is_token(value):
        raise ValueError(value)
    return value


def _is_token(value: str) -> bool:
    """Tell whether `value` can be written into an HTTP request unchanged."""
    return value.isascii() and value.isprintable() and " " not in value


def whole_number(least: int, most: int) -> "Callable[[str], int]":
    def parse(value: str) -> int:
        number = int(value)
        if not least <= number <= most:
            raise ValueError(value)
        return number

    return parse


def finite(value: str) -> float:
    number = float(value)
    if number - number != 0:  # inf and nan
        raise ValueError(value)
    return number


def positive_duration(value: str) -> float:
    seconds = durations.parse(value)
    if seconds <= 0:
        raise ValueError(value)
    return seconds


def shell_words(value: str) -> "list[str]":
    if not value:
        return []
    import shlex  # takes 2 ms, and few runs need it

    return shlex.split(value)


def command(value: str) -> "list[str]":
    words = shell_words(value)
    if value and not words:
        raise ValueError(value)
    return words


def names(value: str) -> "list[str]":
    # An extra comma must not turn off the masking of the other names.
    return [name.strip() for name in value.split(",") if name.strip()]


def one_of(choices: "Sequence[str]") -> "Callable[[str], str]":
    def parse(value: str) -> str:
        if value.lower() not in choices:
            raise ValueError(value)
        return value.lower()

    return parse


def choices_in_words(choices: "Sequence[str]") -> str:
    return f"{', '.join(choices[:-1])} or {choices[-1]}"


def boolean(value: str) -> bool:
    try:
        return BOOLEANS[value.lower()]
    except KeyError:
        raise ValueError(value) from None


def exit_codes(value: str) -> "frozenset[int]":
    codes = frozenset(int(code) for code in value.split(","))
    if not codes <= frozenset(range(256)):
        raise ValueError(value)
    return codes


def readable_file(value: str) -> str:
    try:
        # O_NONBLOCK: opening a FIFO would wait for a writer.
        fd = os.open(value, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        raise ValueError(value) from None
    is_file = stat.S_ISREG(os.fstat(fd).st_mode)
    os.close(fd)
    if not is_file:
        raise ValueError(value)
    return value

#!/usr/bin/env python3
"""wait_for_port.py - does a TCP port accept connections before the time is up?

  HOST      whom to connect to, a name or an address      (default: localhost)
  PORT      which port                                    (required)
  INTERVAL  seconds between attempts, at least 0.1        (default: 1)

It waits as long as it may: khshim stops it before the check's deadline, and the last
lines it wrote then say why the port could not be reached. It ends with 2 for a wrong value.
"""

import os
import re
import socket
import sys
import time
from typing import NoReturn


def main() -> int:
    if len(sys.argv) > 1:
        print(f"'{sys.argv[1]}' is an argument: expected none, but PORT to be set", file=sys.stderr)
        return 2
    host, port = read_host("HOST", "localhost"), read_port("")
    interval = read_number("INTERVAL", "1", 0.1, 9999)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    while True:
        try:
            with socket.create_connection((host, port), timeout=5) as connection:
                # TCP lets a connection meet itself where the kernel chose the port we want for our end.
                to_itself = connection.getsockname()[1] == port
            if not to_itself:
                print(f"{address} accepts connections")
                return 0
            why = "Connected to itself"
        except OSError as error:
            why = error.strerror or str(error)
        print(f"{address} does not answer: {why}", file=sys.stderr, flush=True)
        time.sleep(interval)


def wrong(name: str, expected: str) -> NoReturn:
    """Say what a variable is and should be, and end."""
    value = os.environ.get(name)
    found = "is not set" if value is None else f"is '{value}'"
    print(f"{name} {found}: expected {expected}", file=sys.stderr)
    sys.exit(2)


def read_number(name: str, default: str, lowest: float, highest: float) -> float:
    """Return a number that has no sign, exponent, blank or leading zero."""
    value = os.environ.get(name, default)
    if (
        not re.fullmatch(r"(0|[1-9][0-9]*)(\.[0-9]+)?", value)
        or not lowest <= float(value) <= highest
    ):
        wrong(name, f"a number from {lowest} to {highest}")
    return float(value)


def read_port(default: str) -> int:
    value = os.environ.get("PORT", default)
    if not re.fullmatch("[1-9][0-9]{0,4}", value) or int(value) > 65535:
        wrong("PORT", "a whole number from 1 to 65535")
    return int(value)


def read_host(name: str, default: str) -> str:
    value = os.environ.get(name, default)
    try:
        value.encode("idna")
        is_host = re.fullmatch(r"[\w:][\w.:%-]*", value) and not value.isdecimal()
    except UnicodeError:  # an empty label, or one that is too long
        is_host = None
    if not is_host or value.count(":") == 1:
        wrong(name, "a host name or an address, without scheme, port and brackets")
    return value


if __name__ == "__main__":
    sys.exit(main())

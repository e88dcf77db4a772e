#!/usr/bin/env python3
"""tls_expiry.py - is a server's TLS certificate valid, and for long enough?

HOST         the server to connect to, a name or an address     (required)
PORT         its port                                           (default: 443)
DAYS         for how many days the certificate must be valid    (default: 14)
SERVER_NAME  the name it must be for, where that is not HOST    (default: HOST)
CA_FILE      PEM file of the authorities to trust               (default: the system's)
TIMEOUT      seconds after which to give up, at least 0.1       (default: 10)

It ends with 1 for a certificate that is not valid for so long or cannot be seen, with 2 for a
wrong value.
"""

import os
import re
import socket
import ssl
import sys
import time
from typing import NoReturn


def main() -> int:
    if len(sys.argv) > 1:
        print(f"'{sys.argv[1]}' is an argument: expected none, but HOST to be set", file=sys.stderr)
        return 2
    host, port = read_host("HOST", ""), read_port("443")
    name = read_host("SERVER_NAME", host)
    days = read_number("DAYS", "14", 0, 36500)
    timeout = read_number("TIMEOUT", "10", 0.1, 9999)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    try:
        context = read_authorities("CA_FILE")
        with socket.create_connection((host, port), timeout=timeout) as plain:
            with context.wrap_socket(plain, server_hostname=name) as tls:
                certificate = tls.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        print(f"The certificate of {address} is not valid: {error.verify_message}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{address} could not be reached by TLS: {error}", file=sys.stderr)
        return 1

    expires = str(certificate["notAfter"])
    left = (ssl.cert_time_to_seconds(expires) - time.time()) / 86400
    print(f"The certificate of {address} is valid for {left:.1f} more days, until {expires}")
    if left < days:
        print(
            f"The certificate of {address} expires in {left:.1f} days ({expires}),"
            f" wanted are {days:g}",
            file=sys.stderr,
        )
        return 1
    return 0


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


def read_authorities(name: str) -> ssl.SSLContext:
    file = os.environ.get(name)
    if file is None:
        return ssl.create_default_context()
    try:
        if file:  # to Python "" stands for the system's
            return ssl.create_default_context(cafile=file)
        why = "no path"
    except OSError as error:
        why = str(error)
    wrong(name, f"a PEM file of certificates ({why})")


if __name__ == "__main__":
    sys.exit(main())

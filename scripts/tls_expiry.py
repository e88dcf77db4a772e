#!/usr/bin/env python3
"""tls_expiry.py - is a server's TLS certificate valid, and for long enough?

HOST         the server to connect to                           (required)
PORT         its port                                           (default: 443)
DAYS         for how many days the certificate must be valid    (default: 14)
SERVER_NAME  the name it must be for, where that is not HOST    (default: HOST)
CA_FILE      PEM file of the authorities to trust               (default: the system's)
TIMEOUT      seconds after which to give up                     (default: 10)
"""

import os
import socket
import ssl
import sys
import time


def main() -> int:
    environ = os.environ
    host = environ.get("HOST", "")
    port = int(environ.get("PORT") or 443)
    days = float(environ.get("DAYS") or 14)
    name = environ.get("SERVER_NAME") or host
    if not host:
        print("HOST is not set: name the server to check", file=sys.stderr)
        return 2

    try:
        context = ssl.create_default_context(cafile=environ.get("CA_FILE") or None)
        timeout = float(environ.get("TIMEOUT") or 10)
        with socket.create_connection((host, port), timeout=timeout) as plain:
            with context.wrap_socket(plain, server_hostname=name) as tls:
                certificate = tls.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        print(
            f"The certificate of {host}:{port} is not valid: {error.verify_message}",
            file=sys.stderr,
        )
        return 1
    except (OSError, ssl.SSLError) as error:
        print(f"{host}:{port} could not be reached by TLS: {error}", file=sys.stderr)
        return 1

    expires = str(certificate["notAfter"])
    left = (ssl.cert_time_to_seconds(expires) - time.time()) / 86400
    print(f"The certificate of {host}:{port} is valid for {left:.1f} more days, until {expires}")
    if left < days:
        print(
            f"The certificate of {host}:{port} expires in {left:.1f} days ({expires}),"
            f" wanted are {days:g}",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/opt/khshim/bin/python3
"""tls_expiry.py - is a server's TLS certificate valid, and for long enough?

HOST         the server to connect to, a name or an address     (required)
PORT         its port                                           (default: 443)
DAYS         for how many days the certificate must be valid    (default: 14)
SERVER_NAME  the name it must be for, where that is not HOST    (default: HOST)
CA_FILE      PEM file of the authorities to trust               (default: the system's)
TIMEOUT      seconds after which to give up, at least 0.1       (default: 10)

It ends with 1 for a certificate that is not valid for so long or cannot be seen, with 2 for a
wrong value.

Example: khshim manifest tls_expiry.py --interval 1h --timeout 1m --env HOST=shop.example --env DAYS=21
Replaces: ssl-expiry-check, ssl-handshake-check
"""

import os
import ssl
import sys
import time

from shim.checks import inputs, network, verdict


def check() -> verdict.Verdict:
    host, port = inputs.host("HOST"), inputs.port("PORT", "443")
    name = inputs.host("SERVER_NAME", host)
    days = inputs.number("DAYS", "14", 0, 36500)
    timeout = inputs.number("TIMEOUT", "10", 0.1, 9999)
    certificate_name = f"The certificate of {network.shown(host, port)}"

    try:
        context = authorities("CA_FILE")
        with network.connect(host, port, timeout) as plain:
            with context.wrap_socket(plain, server_hostname=name) as tls:
                certificate = tls.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        raise verdict.CheckError(
            f"{certificate_name} is not valid: {error.verify_message}"
        ) from None
    except OSError as error:
        raise verdict.CheckError(
            f"{network.shown(host, port)} could not be reached by TLS: {error}"
        ) from None

    expires = str(certificate["notAfter"])
    left = (ssl.cert_time_to_seconds(expires) - time.time()) / 86400
    problems = []
    if left < days:
        problems.append(
            f"{certificate_name} expires in {left:.1f} days ({expires}), wanted are {days:g}"
        )
    return verdict.Verdict(
        problems, f"{certificate_name} is valid for {left:.1f} more days, until {expires}"
    )


def authorities(name: str) -> ssl.SSLContext:
    """Return a context that trusts the authorities in a file that a variable names."""
    file = os.environ.get(name)
    if file is None:
        return ssl.create_default_context()
    try:
        if file:  # to Python "" stands for the system's
            return ssl.create_default_context(cafile=file)
        why = "no path"
    except OSError as error:
        why = str(error)
    raise inputs.wrong(name, f"a PEM file of certificates ({why})")


if __name__ == "__main__":
    sys.exit(verdict.run(check))

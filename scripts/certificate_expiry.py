#!/opt/khshim/bin/python3
"""certificate_expiry.py - are the certificates in files or in a variable valid for long enough?

CERTIFICATE_FILES  absolute paths of PEM files, separated by blanks, such as those of
                   a mounted secret                    (required, or CERTIFICATE)
CERTIFICATE        a PEM text, as of a secret's key    (default: none)
DAYS               for how many days the certificates must be valid, 0 to 36500  (default: 14)

Every certificate in each of them is looked at. It ends with 1 for one that is not valid for so
long and for a file that holds none, with 2 for a wrong value.

Example: khshim manifest certificate_expiry.py --interval 1h --timeout 1m
    --secret-env CERTIFICATE=shop-tls/tls.crt
"""

import sys

from shim.checks import inputs, verdict
from shim.checks.certificates import Certificates


def check() -> verdict.Verdict:
    days = inputs.number("DAYS", "14", 0, 36500)
    has_text = inputs.is_set("CERTIFICATE")
    text = inputs.text("CERTIFICATE", "certificates in PEM form") if has_text else ""
    expected = "absolute paths of PEM files, or CERTIFICATE to be set"
    default = "" if has_text else None
    paths = inputs.items("CERTIFICATE_FILES", inputs.a_path, expected, default)

    certificates = Certificates(days)
    if has_text:
        certificates.look(text, "the variable")
    for path in paths:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                certificates.look(file.read(), path)
        except OSError as error:
            certificates.problems.append(f"{path} cannot be read: {error.strerror}")
    return certificates.verdict()


if __name__ == "__main__":
    sys.exit(verdict.run(check))

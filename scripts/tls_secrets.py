#!/opt/khshim/bin/python3
"""tls_secrets.py - are the certificates in a namespace's TLS secrets valid for long enough?

NAMES           the secrets, separated by blanks          (default: all of type kubernetes.io/tls)
SELECTOR        a label selector for them                 (default: none)
NAMESPACE       their namespace, or * for all             (default: the pod's)
DAYS            for how many days the certificates must be valid, 0 to 36500    (default: 14)
ALLOW_NONE      true: it passes where there is no secret  (default: false)
KUBERNETES_API  where kubectl proxy listens               (default: the pod's API server)

The right to read secrets is a right to all in them. For a single one, certificate_expiry.py
needs none. It ends with 1 for a certificate that is not valid for so long or cannot be seen,
with 2 for a wrong value.

Example: khshim manifest tls_secrets.py --interval 1h --timeout 1m --env DAYS=21
"""

# khshim: role=secrets

import base64
import sys

from shim.checks import inputs
from shim.checks import kubernetes_api as api
from shim.checks import verdict
from shim.checks.certificates import Certificates

TYPE = "kubernetes.io/tls"


def check() -> verdict.Verdict:
    server = api.connect("KUBERNETES_API")
    namespace = server.namespace("NAMESPACE")
    names = inputs.items("NAMES", inputs.an_object, "names of secrets, separated by blanks", "")
    selector = inputs.selector("SELECTOR")
    days = inputs.number("DAYS", "14", 0, 36500)
    allow_none = inputs.flag("ALLOW_NONE")

    certificates = Certificates(days)
    for field in [f"metadata.name={name}" for name in names] or [f"type={TYPE}"]:
        count = 0
        for secret in server.list(
            api.SECRETS, namespace, fieldSelector=field, labelSelector=selector
        ):
            count += 1
            certificates.look(certificate_of(secret), f"the secret {api.name_of(secret)}")
        if not count and not (allow_none and not names):
            which = field.replace("metadata.name=", "named ").replace("type=", "of type ")
            place = api.where(namespace, selector)
            certificates.problems.append(f"There is no secret {which} {place}")
    return certificates.verdict()


def certificate_of(secret: api.Item) -> str:
    """Return the PEM text in a secret, "" where there is none."""
    text = api.part(api.part(secret, dict, "data", default={}), str, "tls.crt", default="")
    try:
        return base64.b64decode(text, validate=True).decode(errors="replace")
    except ValueError:
        return ""


if __name__ == "__main__":
    sys.exit(verdict.run(check))

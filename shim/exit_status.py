"""Exit statuses of `khshim run`, after sysexits(3).

Kuberhealthy ignores a pod's exit status, so it does not carry the verdict: it
says what became of the report.
"""

DELIVERED = 0
"""The server took the report, whatever its verdict."""

WRONG_USAGE = 64
"""EX_USAGE: the command line could not be understood."""

UNDELIVERED = 69
"""EX_UNAVAILABLE: no server took the report before the deadline."""

BUG = 70
"""EX_SOFTWARE: khshim itself failed; reported as `OK: false` where it could be."""

REFUSED = 76
"""EX_PROTOCOL: the server answered, and did not take the report."""

WRONG_SETTINGS = 78
"""EX_CONFIG: a setting is wrong; reported as `OK: false` where it could be."""

"""Exit statuses of `khshim run`, after sysexits(3).

Kuberhealthy ignores a pod's exit status, so it does not carry the verdict: it
says what became of the report.
"""

DELIVERED = 0
WRONG_USAGE = 64  # EX_USAGE
UNDELIVERED = 69  # EX_UNAVAILABLE
BUG = 70  # EX_SOFTWARE
REFUSED = 76  # EX_PROTOCOL
WRONG_SETTINGS = 78  # EX_CONFIG

MEANINGS = {
    DELIVERED: "the server took the report, whatever the verdict",
    WRONG_USAGE: "wrong usage of the command line",
    UNDELIVERED: "the report could not be delivered in time",
    BUG: "a bug in khshim itself, reported as a failure where possible",
    REFUSED: "the server refused the report; the log says why and what to check",
    WRONG_SETTINGS: "wrong settings or a missing package, reported as a failure where possible",
}

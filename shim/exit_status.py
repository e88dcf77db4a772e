"""Exit statuses of `khshim run`, after sysexits(3).

Kuberhealthy ignores the exit status of a pod. So the exit status says whether the report was
delivered, not whether the check passed.
"""

DELIVERED = 0
WRONG_USAGE = 64  # EX_USAGE
UNDELIVERED = 69  # EX_UNAVAILABLE
BUG = 70  # EX_SOFTWARE
REFUSED = 76  # EX_PROTOCOL
WRONG_SETTINGS = 78  # EX_CONFIG

MEANINGS = {
    DELIVERED: "the server accepted the report, whether the check passed or failed",
    WRONG_USAGE: "wrong usage of the command line",
    UNDELIVERED: "the report could not be delivered in time",
    BUG: "a bug in khshim itself, reported as a failure where possible",
    REFUSED: "the server refused the report; the log says why and what to check",
    WRONG_SETTINGS: "wrong settings or a missing package, reported as a failure where possible",
}

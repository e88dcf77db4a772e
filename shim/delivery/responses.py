"""What each answer of a server means for the delivery, by the protocol of v2 and v3."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from enum import Enum
from typing import NamedTuple

from shim.delivery.post import Answer, one_line
from shim.kuberhealthy import PATHS, Endpoint, Server


class Step(Enum):
    """What to do after an answer."""

    ACCEPTED = "done"
    ASSUMED = "done, as far as can be told"
    RETRY = "try again; not delivered if the time ends with this answer"
    RETRY_REFUSAL = "try again; refused if the time ends with this answer"
    REFUSED = "give up"


class Meaning(NamedTuple):
    """What to do after an answer, and the sentences that tell why."""

    step: Step
    sentence: str


TRANSIENT = frozenset({408, 429, *range(500, 600)})
# A gateway's own answers: the server behind it may have stored the report.
GATEWAY = frozenset({502, 503, 504})

# How v3 begins the 400 that may pass, and ends the one for a run that is over or unknown.
LOOKUP_FAILED = "failed to lookup healthcheck"
UNKNOWN = "is invalid or expired"

UNKNOWN_RUN = (
    "The server does not know this run, or knows it as already reported. Check that the pod"
    " has restartPolicy: Never (a restarted container reports twice), that nothing else in it"
    " reports too, and whether Kuberhealthy was restarted during the run."
)
# v2 answers so to a path that is not its own.
NOT_V3S = (
    f"Kuberhealthy v3 would name the run. Is this v2? Its path is {PATHS[Server.V2]}. Or does"
    " something between this pod and Kuberhealthy answer for it, or drop the header kh-run-uuid?"
)
WRONG_ADDRESS = (
    "Is KH_REPORTING_URL the address of Kuberhealthy's report endpoint, with nothing behind it?"
    f" Its path is {PATHS[Server.V3]} on v3 and {PATHS[Server.V2]} on v2."
)
REFUSALS = {
    401: "Something between this pod and Kuberhealthy asks for a login, which Kuberhealthy never does.",
    403: (
        "Something between this pod and Kuberhealthy forbids the request: check network policies"
        " and the service mesh's authorization."
    ),
    404: WRONG_ADDRESS,
    405: WRONG_ADDRESS,
    410: (
        "The report came after the run's deadline. Raise the check's timeout, or SHIM_REPORT_RESERVE"
        " where delivery is slow."
    ),
    413: "Something between this pod and Kuberhealthy refuses a request of this size.",
    415: "Something between this pod and Kuberhealthy changes the request's Content-Type.",
}


def meaning(
    answer: Answer, endpoint: Endpoint, *, earlier_may_have_arrived: bool, late: bool
) -> Meaning:
    """Return what `answer` means.

    `earlier_may_have_arrived` tells that the answer to an earlier attempt was lost, and
    `late` that the deadline has passed.
    """
    status, words = answer.status, answer.words
    if status == 200 and not words:
        return Meaning(Step.ACCEPTED, "The server accepted the report.")
    said = f"The server answered {status}{_quoted(words)}."
    if status == 200:
        advice = f"Kuberhealthy accepts a report with an empty answer. {WRONG_ADDRESS}"
        return Meaning(Step.REFUSED, f"{said} {advice}")
    if status in TRANSIENT or (status == 400 and LOOKUP_FAILED in words):
        return Meaning(Step.RETRY, said)
    if status == 400:
        return _bad_request(said, answer, endpoint, earlier_may_have_arrived)
    if status == 410 and not late:
        # v3 creates the pod before it writes when the run began, and answers 410 until then.
        return Meaning(Step.RETRY_REFUSAL, f"{said} {REFUSALS[410]}")
    if 300 <= status < 400:
        advice = (
            f"It redirects to {answer.location or 'nowhere'}, which is not followed: the run's uuid"
            f" would go there too. {WRONG_ADDRESS}"
        )
    else:
        advice = REFUSALS.get(status, f"Kuberhealthy never answers that. {WRONG_ADDRESS}")
    return Meaning(Step.REFUSED, f"{said} {advice}")


def _bad_request(
    said: str, answer: Answer, endpoint: Endpoint, earlier_may_have_arrived: bool
) -> Meaning:
    """Return what a 400 means.

    v3 clears the run's uuid when it stores a report, so that its own 400 after an
    attempt whose answer was lost most probably means success. v2 answers 400 at once when it
    cannot read its own state, and accepts a second report: there another attempt may
    help, and does no harm.
    """
    if not endpoint.has_known_path:
        return Meaning(Step.REFUSED, f"{said} {WRONG_ADDRESS}")
    if endpoint.server is Server.V2:
        return Meaning(Step.RETRY_REFUSAL, f"{said} {UNKNOWN_RUN}")
    if UNKNOWN not in answer.words:
        return Meaning(Step.REFUSED, f"{said} {NOT_V3S}")
    if earlier_may_have_arrived:
        return Meaning(
            Step.ASSUMED,
            f"{said} The answer to an earlier attempt was lost, so that one most probably arrived.",
        )
    return Meaning(Step.REFUSED, f"{said} {UNKNOWN_RUN}")


def retry_after(value: str, unix_now: float) -> float | None:
    """Return the seconds that a Retry-After header (RFC 9110, 10.2.3) asks to wait.

    None where it is missing or is neither a number of seconds nor a date.
    """
    if value.isascii() and value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - unix_now)
    except (ValueError, OverflowError):
        return None


def _quoted(words: str) -> str:
    line = one_line(words)
    return f": {line}" if line else ""

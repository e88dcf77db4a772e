from __future__ import annotations

import pytest

from shim.delivery import responses
from shim.delivery.post import Answer
from shim.delivery.responses import Meaning, Step, retry_after
from shim.kuberhealthy import Endpoint

EXPIRED = "run uuid abc is invalid or expired"


V3 = Endpoint("http://kuberhealthy/check", "abc")
V2 = Endpoint("http://kuberhealthy/externalCheckStatus", "abc")


def meaning(
    answer: Answer,
    endpoint: Endpoint = V3,
    *,
    earlier_may_have_arrived: bool = False,
    late: bool = False,
) -> Meaning:
    return responses.meaning(
        answer, endpoint, earlier_may_have_arrived=earlier_may_have_arrived, late=late
    )


ADDRESS = (
    "Is KH_REPORTING_URL the address of Kuberhealthy's report endpoint, with nothing behind it?"
    " Its path is /check on v3 and /externalCheckStatus on v2."
)
UNKNOWN = (
    "The server does not know this run, or knows it as already reported. Check that the pod has"
    " restartPolicy: Never (a restarted container reports twice), that nothing else in it reports"
    " too, and whether Kuberhealthy was restarted during the run."
)
LATE = (
    "The report came after the run's deadline. Raise the check's timeout, or SHIM_REPORT_RESERVE"
    " where delivery is slow."
)
BETWEEN = "Something between this pod and Kuberhealthy"


@pytest.mark.parametrize(
    ("answer", "step", "sentence"),
    [
        (Answer(200), Step.ACCEPTED, "The server accepted the report."),
        (
            Answer(200, words="ok"),
            Step.REFUSED,
            f"The server answered 200: ok. Kuberhealthy accepts a report with an empty answer. {ADDRESS}",
        ),
        (
            Answer(204),
            Step.REFUSED,
            f"The server answered 204. Kuberhealthy never answers that. {ADDRESS}",
        ),
        (
            Answer(299),
            Step.REFUSED,
            f"The server answered 299. Kuberhealthy never answers that. {ADDRESS}",
        ),
        (
            Answer(300),
            Step.REFUSED,
            "The server answered 300. It redirects to nowhere, which is not followed: the run's uuid"
            f" would go there too. {ADDRESS}",
        ),
        (
            Answer(301, location="https://other/"),
            Step.REFUSED,
            "The server answered 301. It redirects to https://other/, which is not followed: the"
            f" run's uuid would go there too. {ADDRESS}",
        ),
        (
            Answer(399),
            Step.REFUSED,
            "The server answered 399. It redirects to nowhere, which is not followed: the run's uuid"
            f" would go there too. {ADDRESS}",
        ),
        (
            Answer(400, words=EXPIRED),
            Step.REFUSED,
            f"The server answered 400: {EXPIRED}. {UNKNOWN}",
        ),
        (
            Answer(400),
            Step.REFUSED,
            "The server answered 400. Kuberhealthy v3 would name the run. Is this v2? Its path is"
            " /externalCheckStatus. Or does something between this pod and Kuberhealthy answer for"
            " it, or drop the header kh-run-uuid?",
        ),
        (
            Answer(400, words="failed to lookup healthcheck for uuid abc"),
            Step.RETRY,
            "The server answered 400: failed to lookup healthcheck for uuid abc.",
        ),
        (
            Answer(401),
            Step.REFUSED,
            f"The server answered 401. {BETWEEN} asks for a login, which Kuberhealthy never does.",
        ),
        (
            Answer(402),
            Step.REFUSED,
            f"The server answered 402. Kuberhealthy never answers that. {ADDRESS}",
        ),
        (
            Answer(403),
            Step.REFUSED,
            f"The server answered 403. {BETWEEN} forbids the request: check network policies and"
            " the service mesh's authorization.",
        ),
        (Answer(404), Step.REFUSED, f"The server answered 404. {ADDRESS}"),
        (Answer(405), Step.REFUSED, f"The server answered 405. {ADDRESS}"),
        (
            Answer(406),
            Step.REFUSED,
            f"The server answered 406. Kuberhealthy never answers that. {ADDRESS}",
        ),
        (Answer(408), Step.RETRY, "The server answered 408."),
        (Answer(410), Step.RETRY_REFUSAL, f"The server answered 410. {LATE}"),
        (
            Answer(413),
            Step.REFUSED,
            f"The server answered 413. {BETWEEN} refuses a request of this size.",
        ),
        (
            Answer(415),
            Step.REFUSED,
            f"The server answered 415. {BETWEEN} changes the request's Content-Type.",
        ),
        (
            Answer(418, words="a\r\n teapot"),
            Step.REFUSED,
            f"The server answered 418: a teapot. Kuberhealthy never answers that. {ADDRESS}",
        ),
        (Answer(429), Step.RETRY, "The server answered 429."),
        (
            Answer(499),
            Step.REFUSED,
            f"The server answered 499. Kuberhealthy never answers that. {ADDRESS}",
        ),
        (Answer(500), Step.RETRY, "The server answered 500."),
        (Answer(503, words="no"), Step.RETRY, "The server answered 503: no."),
        (Answer(599), Step.RETRY, "The server answered 599."),
        (
            Answer(600),
            Step.REFUSED,
            f"The server answered 600. Kuberhealthy never answers that. {ADDRESS}",
        ),
    ],
)
def test_meanings(answer: Answer, step: Step, sentence: str) -> None:
    assert meaning(answer) == Meaning(step, sentence)


def test_a_410_after_the_deadline_is_final() -> None:
    expected = Meaning(Step.REFUSED, f"The server answered 410. {LATE}")
    assert meaning(Answer(410), late=True) == expected


def test_a_400_after_a_lost_answer_counts_as_delivered() -> None:
    result = meaning(Answer(400, words=EXPIRED), earlier_may_have_arrived=True)
    assert result.step is Step.ASSUMED
    assert result.sentence == (
        f"The server answered 400: {EXPIRED}. The answer to an earlier attempt was lost, so that"
        " one most probably arrived."
    )


@pytest.mark.parametrize("arrived", [True, False])
@pytest.mark.parametrize("words", ["", "<html><h1>400 Bad Request</h1>nginx</html>"])
def test_v3_names_the_run(words: str, arrived: bool) -> None:
    """A 400 that does not is another server's, v2's above all: nothing was delivered."""
    result = meaning(Answer(400, words=words), earlier_may_have_arrived=arrived)
    assert result.step is Step.REFUSED
    assert "restartPolicy" not in result.sentence


@pytest.mark.parametrize("answer", [Answer(410), Answer(404), Answer(302)])
def test_no_other_refusal_does(answer: Answer) -> None:
    assert meaning(answer, earlier_may_have_arrived=True, late=True).step is Step.REFUSED


@pytest.mark.parametrize("arrived", [True, False])
def test_v2s_400_may_pass(arrived: bool) -> None:
    result = meaning(Answer(400), V2, earlier_may_have_arrived=arrived)
    assert result == Meaning(Step.RETRY_REFUSAL, f"The server answered 400. {UNKNOWN}")


@pytest.mark.parametrize("path", ["", "/", "/check/", "/externalCheckStatus/", "/checks"])
def test_a_400_at_an_unknown_path(path: str) -> None:
    endpoint = Endpoint(f"http://kuberhealthy{path}", "abc")
    result = meaning(Answer(400), endpoint, earlier_may_have_arrived=True)
    assert result == Meaning(Step.REFUSED, f"The server answered 400. {ADDRESS}")


@pytest.mark.parametrize("path", ["/check?x=1", "/kuberhealthy/check", "/externalCheckStatus"])
def test_a_400_at_a_known_path(path: str) -> None:
    result = meaning(Answer(400, words=EXPIRED), Endpoint(f"http://kuberhealthy{path}", "abc"))
    assert "restartPolicy" in result.sentence


@pytest.mark.parametrize(
    ("words", "shown"), [("x" * 200, "x" * 200), ("x" * 201, "x" * 199 + "…"), (" \n", "")]
)
def test_the_servers_words_are_cut(words: str, shown: str) -> None:
    expected = f"The server answered 500: {shown}." if shown else "The server answered 500."
    assert meaning(Answer(500, words=words)).sentence == expected


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("", None),
        ("0", 0),
        ("120", 120),
        ("99999999999999999999", 1e20),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10),
        ("Tuesday, 14-Nov-23 22:13:30 GMT", 10),
        ("Tue, 14 Nov 2000 22:13:30 GMT", 0),
        ("Tue, 99 Nov 2023 22:13:30 GMT", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert retry_after(value, 1_700_000_000) == seconds

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


@pytest.mark.parametrize(
    ("answer", "step", "word"),
    [
        (Answer(200), Step.ACCEPTED, "accepted"),
        (
            Answer(200, words="ok"),
            Step.REFUSED,
            "200: ok. Kuberhealthy accepts a report with an empty",
        ),
        (Answer(204), Step.REFUSED, "never answers that"),
        (
            Answer(301, location="https://other/"),
            Step.REFUSED,
            "redirects to https://other/",
        ),
        (Answer(304), Step.REFUSED, "redirects to nowhere"),
        (Answer(400, words=EXPIRED), Step.REFUSED, "restartPolicy: Never"),
        (Answer(400, words=EXPIRED), Step.REFUSED, "restarted during the run."),
        (Answer(400), Step.REFUSED, "v2? Its path is /externalCheckStatus."),
        (Answer(400), Step.REFUSED, "header kh-run-uuid"),
        (
            Answer(400, words="failed to lookup healthcheck for uuid abc"),
            Step.RETRY,
            "lookup",
        ),
        (Answer(401), Step.REFUSED, "login"),
        (Answer(403), Step.REFUSED, "network policies"),
        (Answer(404), Step.REFUSED, "KH_REPORTING_URL"),
        (Answer(405), Step.REFUSED, "KH_REPORTING_URL"),
        (Answer(408), Step.RETRY, "408"),
        (Answer(410), Step.RETRY_REFUSAL, "deadline"),
        (Answer(413), Step.REFUSED, "size"),
        (Answer(415), Step.REFUSED, "Content-Type"),
        (Answer(418, words="a\r\n teapot"), Step.REFUSED, "418: a teapot."),
        (Answer(429), Step.RETRY, "429"),
        (Answer(500), Step.RETRY, "500"),
        (Answer(503), Step.RETRY, "503"),
        (Answer(599), Step.RETRY, "599"),
        (Answer(600), Step.REFUSED, "600"),
    ],
)
def test_meanings(answer: Answer, step: Step, word: str) -> None:
    result = meaning(
        answer,
    )
    assert result.step is step
    assert word in result.sentence


def test_a_400_after_a_lost_answer_counts_as_delivered() -> None:
    result = meaning(Answer(400, words=EXPIRED), earlier_may_have_arrived=True)
    assert result.step is Step.ASSUMED
    assert "most probably arrived" in result.sentence


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
    assert result.step is Step.RETRY_REFUSAL
    assert "restartPolicy" in result.sentence


@pytest.mark.parametrize("path", ["", "/", "/check/", "/externalCheckStatus/", "/checks"])
def test_a_400_at_an_unknown_path(path: str) -> None:
    endpoint = Endpoint(f"http://kuberhealthy{path}", "abc")
    result = meaning(Answer(400), endpoint, earlier_may_have_arrived=True)
    assert result.step is Step.REFUSED
    assert "restartPolicy" not in result.sentence


@pytest.mark.parametrize("path", ["/check?x=1", "/kuberhealthy/check", "/externalCheckStatus"])
def test_a_400_at_a_known_path(path: str) -> None:
    result = meaning(Answer(400, words=EXPIRED), Endpoint(f"http://kuberhealthy{path}", "abc"))
    assert "restartPolicy" in result.sentence


def test_the_servers_words_are_cut() -> None:
    assert (
        len(meaning(Answer(418, words="x" * 5000), earlier_may_have_arrived=False).sentence) < 500
    )


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

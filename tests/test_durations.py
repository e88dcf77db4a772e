import pytest

from shim import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("2m", 120),
        ("1m30s", 90),
        ("1h", 3600),
        ("1.5h", 5400),
        ("250ms", 0.25),
        ("10us", 1e-5),
        ("10µs", 1e-5),
        ("10ns", 1e-8),
        ("0", 0),
        ("0s", 0),
        (".5s", 0.5),
        ("1.s", 1),
    ],
)
def test_what_go_takes(text: str, seconds: float) -> None:
    assert durations.parse_go(text) == pytest.approx(seconds)
    assert durations.parse(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", "1d", "5 m", "-1s", "+-1s", "s", ".s", "1..5s", "m5", "1s ", "٣s", "1e3s"],
)
def test_what_go_does_not_take(text: str) -> None:
    with pytest.raises(ValueError):
        durations.parse_go(text)
    with pytest.raises(ValueError):
        durations.parse(text)


@pytest.mark.parametrize(("text", "seconds"), [("30", 30), ("1.5", 1.5), ("007", 7)])
def test_a_plain_number_is_seconds_but_not_to_go(text: str, seconds: float) -> None:
    assert durations.parse(text) == seconds
    with pytest.raises(ValueError):
        durations.parse_go(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.00 s"),
        (0.254, "0.25 s"),
        (0.996, "1.0 s"),
        (12.34, "12.3 s"),
        (90, "90.0 s"),
        (100, "1 m 40 s"),
        (3600, "1 h"),
        (3661.4, "1 h 1 m 1 s"),
    ],
)
def test_shown_to_people(seconds: float, text: str) -> None:
    assert durations.show(seconds) == text

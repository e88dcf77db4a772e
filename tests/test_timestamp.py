"""The one format of times in khshim's output."""

from __future__ import annotations

import pytest

from shim.observe.timestamp import rfc3339


@pytest.mark.parametrize(
    ("unix_time", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_700_000_000.0, "2023-11-14T22:13:20.000Z"),
        (1_700_000_000.25, "2023-11-14T22:13:20.250Z"),
        (253_402_300_799, "9999-12-31T23:59:59.000Z"),
    ],
)
def test_rfc_3339_in_utc_with_milliseconds(
    monkeypatch: pytest.MonkeyPatch, unix_time: float, text: str
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert rfc3339(unix_time) == text

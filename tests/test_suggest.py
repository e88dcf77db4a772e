"""The name that was probably meant."""

from __future__ import annotations

import pytest

from shim.suggest import did_you_mean

KNOWN = ["SHIM_TIMEOUT", "SHIM_SCRIPT", "SHIM_MASK"]


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("SHIM_TIMOUT", " Did you mean SHIM_TIMEOUT?"),
        ("SHIM_SCRIPTS", " Did you mean SHIM_SCRIPT?"),
        ("SHIM_MSAK", " Did you mean SHIM_MASK?"),
        ("SHIM_COLOUR", ""),
        ("", ""),
    ],
)
def test_a_slip_is_told_from_another_word(name: str, suggestion: str) -> None:
    assert did_you_mean(name, KNOWN) == suggestion


def test_nothing_is_like_nothing() -> None:
    assert did_you_mean("SHIM_TIMEOUT", []) == ""

"""What a script used."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.khshim import Shim

Write = Callable[..., str]


def test_resource_use_is_in_the_log(shim: Shim, script: Write) -> None:
    path = script("#!/bin/sh\npython3 -c 'x = bytearray(60_000_000); sum(range(3_000_000))'\n")
    event = shim.run(path).event("script_exited")
    assert event["cpu_s"] > 0.02
    assert event["peak_memory_bytes"] > 60_000_000

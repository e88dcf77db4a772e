"""Coverage-guided fuzzing of the way from a script's bytes to the report: `make fuzz`.

Any bytes, split at any places, must become a report that both servers take, within its
limits, with no secret in it.
"""

from __future__ import annotations

import sys
from unicodedata import category

import atheris

with atheris.instrument_imports(include=["shim"]):
    from shim.commands.fake_kuberhealthy import Request, reply_to
    from shim.kuberhealthy import PATHS, Endpoint, Server
    from shim.report.build import MAX_BODY_SIZE, failure
    from shim.report.excerpt import MAX_LINE_LENGTH, MAX_LINES, Editor
    from shim.report.mask import Masker
    from shim.supervise.capture import ScriptOutput

SECRET = "s3cret-value"


def check(data: bytes) -> None:
    provider = atheris.FuzzedDataProvider(data)
    server = Server.V2 if provider.ConsumeBool() else Server.V3
    merged = provider.ConsumeBool()
    output = ScriptOutput(merged=merged)
    while provider.remaining_bytes():
        feed = output.feed_stderr if provider.ConsumeBool() else output.feed_stdout
        repeat = provider.PickValueInList([1, 1, 1, 2, 70, 5000])
        feed(provider.ConsumeBytes(provider.ConsumeIntInRange(1, 200)) * repeat)
    chosen, _ = output.captured("both" if merged else "stderr")
    report = failure([], Editor(server, Masker({"A_TOKEN": SECRET})), chosen)
    endpoint = Endpoint(f"http://host{PATHS[server]}", "id")
    headers = {"kh-run-uuid": "id", "content-type": "application/json"}
    request = Request("POST", PATHS[server], headers, report.body(), 0.0)
    reply = reply_to(request, endpoint, 1.0, known=True)
    assert reply.stored == (False, report.errors), reply
    assert 1 <= len(report.errors) <= MAX_LINES
    assert len(request.body) <= MAX_BODY_SIZE
    for error in report.errors:
        assert error.strip()
        assert not any(category(character) in ("Cc", "Zl", "Zp") for character in error)
        assert len(error) <= MAX_LINE_LENGTH
        assert SECRET not in error
        assert "\\" not in error.replace("\\\\", "")


atheris.Setup(sys.argv, check)
atheris.Fuzz()

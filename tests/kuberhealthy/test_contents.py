"""Thousands of random contents: built, cut and delivered by khshim's own code."""

from __future__ import annotations

import os
import random
import time

import pytest

from shim.delivery.deliver import deliver_quietly
from shim.delivery.result import Result
from shim.kuberhealthy import Endpoint
from shim.report.build import Report, failure
from shim.report.excerpt import Editor
from shim.report.mask import Masker
from shim.supervise.capture import ScriptOutput
from tests.kuberhealthy.cluster import Cluster, label_of
from tests.kuberhealthy.scripts import CONTENTS

COUNT = int(os.environ.get("KUBERHEALTHY_CONTENTS", "2000"))
SEED = int(os.environ.get("KUBERHEALTHY_SEED", "0")) or random.randrange(1, 2**32)
SECRET = "s3cret-value"
PIECES = [
    *(bytes([byte]) for byte in range(256)),
    *(f"{text}".encode() for text in "é…€\u2028\u2029\x85\ufeff\u202e\u0301👍🏽\U0010ffff\ufffd"),
    *(b"\\", b'"', b"'", b"|", b"{", b"}", b"\n", b"\r", b"\t", b" ", b"\\n", b'\\"', b"\\\\"),
    *(b"\x1b[31m", b"\x1b]0;t\x07", b"\x9b1m", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"),
    *(b'"} 1\n', b"# TYPE x y\n", b'kuberhealthy_check{check="x"} 1\n', b"NaN", b"+Inf", b"\\x"),
    *(b"\\u0000", b"\\ud800", b"</script>", b"%s", b"${x}", SECRET.encode(), b"Traceback:\n"),
]
REPEATS = [1] * 40 + [2, 3, 70, 999, 1000, 20_000]


def random_report(chance: random.Random, editor: Editor) -> Report:
    """Return a report on what a script might write, in pieces that might be read."""
    output = ScriptOutput(merged=False)
    for _ in range(chance.choice([1, 1, 2, 5, 20])):
        data = b"".join(chance.choices(PIECES, k=chance.choice([1, 3, 10, 40])))
        output.feed_stderr(data * chance.choice(REPEATS))
    chosen, _ = output.captured("stderr")
    return failure([], editor, chosen)


def settled(cluster: Cluster, expected: dict[str, str]) -> dict[str, str]:
    """Scrape until the labels are as expected, as v2's are once it has seen its own writes."""
    give_up = time.monotonic() + 10
    while True:
        metrics = cluster.metrics()
        assert metrics.problems == {}, f"seed {SEED}"
        labels = {name: metrics.errors.get(name, "") for name in expected}
        if labels == expected or time.monotonic() > give_up:
            return labels


@pytest.mark.case(f"{COUNT:,} random contents: accepted, stored as sent, metrics readable")
@pytest.mark.timeout(300)
def test_random_contents(cluster: Cluster) -> None:
    chance = random.Random(SEED)
    editor = Editor(cluster.server, Masker({"A_TOKEN": SECRET}))
    for _ in range(0, COUNT, len(CONTENTS)):
        sent = {name: random_report(chance, editor) for name in CONTENTS}
        for name, report in sent.items():
            environ = cluster.new_run(name)
            endpoint = Endpoint(environ["KH_REPORTING_URL"], environ["KH_RUN_UUID"])
            delivery = deliver_quietly(endpoint, report.body(), None)
            assert (delivery.result, delivery.attempts) == (Result.ACCEPTED, 1), (SEED, report)
        states = cluster.states()
        wanted = {name: (report.ok, report.errors) for name, report in sent.items()}
        assert {name: states[name].report for name in sent} == wanted, f"seed {SEED}"
        labels = {name: label_of(report.errors) for name, report in sent.items()}
        assert settled(cluster, labels) == labels, f"seed {SEED}"
        assert not any(SECRET in label for label in labels.values()), f"seed {SEED}"

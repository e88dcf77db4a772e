from __future__ import annotations

import json
import signal
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.commands.fake_kuberhealthy import Request, reply_to
from shim.kuberhealthy import Endpoint, Server
from shim.report import wording
from shim.report.build import MAX_BODY_SIZE, NOTHING_CAPTURED, PASSED, Report
from shim.report.build import failure as edited_failure
from shim.report.build import judge, lines_of
from shim.report.excerpt import MAX_LINE_LENGTH, MAX_LINES, Editor
from shim.supervise.capture import Capture, Captured
from shim.supervise.escalation import StoppedBy
from shim.supervise.outcome import Ending, Outcome

SERVERS = list(Server)


def failure(sentences: list[str], server: Server, output: Captured = NOTHING_CAPTURED) -> Report:
    return edited_failure(sentences, Editor(server, lambda text: text), output)


def of_lines(*lines: bytes) -> Captured:
    return Captured(list(lines))


def accepted(report: Report, server: Server) -> bool:
    endpoint = Endpoint(
        "http://host" + {"v2": "/externalCheckStatus", "v3": "/check"}[server.value],
        "id",
    )
    headers = {"kh-run-uuid": "id", "content-type": "application/json"}
    request = Request("POST", endpoint.url.removeprefix("http://host"), headers, report.body(), 0.0)
    reply = reply_to(request, endpoint, 1.0, known=True)
    return reply.status == 200 and reply.stored == (report.ok, report.errors)


@pytest.mark.parametrize("server", SERVERS)
def test_passing(server: Server) -> None:
    assert PASSED.body() == b'{"OK": true, "Errors": []}'
    assert accepted(PASSED, server)


def test_sentences_come_before_lines_and_blank_ones_go() -> None:
    report = failure(["First.", "", "  "], Server.V3, of_lines(b"", b"one", b" \t", b"two"))
    assert report.errors == ["First.", "one", "two"]


def test_a_failure_always_has_a_reason() -> None:
    assert failure([], Server.V3, of_lines(b"", b"\x1b[0m")).errors == [
        "The check failed without saying why."
    ]


@pytest.mark.parametrize(
    ("server", "line", "error"),
    [
        (Server.V3, rb"C:\dir" + b"\\", r"C:\\dir" + "\\\\"),
        (Server.V2, rb"C:\dir" + b"\\", r"C:\\dir" + "\\\\"),
        (Server.V3, b'say "hi"', 'say "hi"'),
        (Server.V2, b'say "hi"', "say 'hi'"),
    ],
)
def test_what_would_break_a_prometheus_label(server: Server, line: bytes, error: str) -> None:
    assert failure([], server, of_lines(line)).errors == [error]


def test_a_long_line_is_cut() -> None:
    [exact, cut] = failure([], Server.V3, of_lines(b"x" * 1000, b"x" * 1001)).errors
    assert exact == "x" * 1000
    assert cut == "x" * 999 + "…"


@pytest.mark.parametrize(
    ("line", "cut"),
    [
        ("\\" * 600, "\\" * 998 + "…"),
        ("X" + "\\" * 600, "X" + "\\" * 998 + "…"),
        ("XX" + "\\" * 600, "XX" + "\\" * 996 + "…"),
        ("\\" * 600 + "XX", "\\" * 998 + "…"),
        # Where the beginning is missing.
        ("…" + "\\" * 600, "…" + "\\" * 998),
        ("…" + "\\" * 600 + "X", "…" + "\\" * 998 + "X"),
        ("…" + "\\" * 600 + "XX", "…" + "\\" * 996 + "XX"),
        ("…XX" + "\\" * 600, "…" + "\\" * 998),
        ("…" + "x" * 999, "…" + "x" * 999),
        ("…x" + "y" * 999, "…" + "y" * 999),
        ("…" + "X" * 600 + "\\" * 250, "…" + "X" * 499 + "\\" * 500),
    ],
)
def test_a_cut_never_halves_a_doubled_backslash(line: str, cut: str) -> None:
    assert failure([], Server.V3, of_lines(line.encode())).errors == [cut]


def test_what_is_no_unicode() -> None:
    assert failure(["a\ud800b"], Server.V3, lines_of(["c\ud800d"])).errors == ["a?b", "c?d"]


def test_head_and_tail_of_many_lines() -> None:
    lines = [b"line %d" % number for number in range(1000)]
    report = failure(["Sentence."], Server.V3, of_lines(*lines))
    assert len(report.errors) == MAX_LINES
    assert report.errors[0] == "Sentence."
    assert report.errors[1:32] == [f"line {number}" for number in range(31)]
    assert report.errors[32] == "… 938 lines are left out here; the pod's log has everything …"
    assert report.errors[33:] == [f"line {number}" for number in range(969, 1000)]


def test_64_lines_are_all_shown() -> None:
    lines = [b"%d" % number for number in range(65)]
    assert failure([], Server.V3, of_lines(*lines[1:])).errors[::63] == ["1", "64"]
    errors = failure([], Server.V3, of_lines(*lines)).errors
    assert errors[31:34] == [
        "31",
        "… 2 lines are left out here; the pod's log has everything …",
        "34",
    ]


def test_one_line_is_left_out_in_the_singular() -> None:
    lines = [b"%02d" % number + b"x" * 998 for number in range(17)]
    [marker] = [e for e in failure([], Server.V3, of_lines(*lines)).errors if e.startswith("…")]
    assert marker == "… 1 line is left out here; the pod's log has everything …"


@pytest.mark.parametrize(
    ("lines", "errors"),
    [
        (["a", "a", "b", "a"], ["a (2 times)", "b", "a"]),
        (["a", "", "a", "\x1b[0ma"], ["a (3 times)"]),
        (["x" * 1000] * 13, ["x" * 988 + "… (13 times)"]),
        (["\\" * 1000] * 2, ["\\" * 988 + "… (2 times)"]),
        (["a"] * 9000, ["a (9,000 times)"]),
        (["|"] * 2, ["| (2 times)"]),
    ],
)
def test_identical_lines_that_follow_each_other_are_folded(
    lines: list[str], errors: list[str]
) -> None:
    report = failure([], Server.V3, of_lines(*(line.encode() for line in lines)))
    assert report.errors == errors


def test_folded_lines_that_are_left_out_are_counted() -> None:
    lines = [b"%d" % (number // 3) for number in range(3 * 66)]
    errors = failure([], Server.V3, of_lines(*lines)).errors
    assert errors[31] == "31 (3 times)" and errors[33] == "35 (3 times)"
    assert errors[32].startswith("… 9 lines are left out")


def test_folded_lines_around_what_was_dropped_are_counted() -> None:
    output = Captured([b"a"] * 5 + [b"%d" % n for n in range(90)], 7, 0, [b"b", b"b", b"c"])
    errors = failure([], Server.V3, output).errors
    assert errors[0] == "a (5 times)" and errors[-2:] == ["b (2 times)", "c"]
    assert len(errors) == MAX_LINES
    assert f"… {7 + 90 - (MAX_LINES - 4)} lines are left out" in errors[-3]


def test_large_lines_are_limited_by_the_size_of_the_json() -> None:
    lines = [b"%02d " % number + "€".encode() * 900 for number in range(20)]
    report = failure([], Server.V3, of_lines(*lines))
    assert MAX_BODY_SIZE - 6000 < len(report.body()) <= MAX_BODY_SIZE
    assert report.errors[0].startswith("00 ") and report.errors[-1].startswith("19 ")
    [marker] = [error for error in report.errors if error.startswith("…")]
    assert f"… {20 - (len(report.errors) - 1)} lines are left out" in marker


def test_a_report_may_be_as_large_as_the_limit() -> None:
    lines = [b"%02d" % number + b"x" * 998 for number in range(16)]
    room = 16_384 - len(failure([], Server.V3, of_lines(*lines, b"y")).body())
    errors = failure([], Server.V3, of_lines(*lines, b"y" * (room + 1))).errors
    assert len(Report(False, errors).body()) == 16_384
    assert errors[-1] == "y" * (room + 1)
    errors = failure([], Server.V3, of_lines(*lines, b"y" * (room + 2))).errors
    assert errors[8] == "… 1 line is left out here; the pod's log has everything …"


@given(
    st.lists(st.integers(1, 999), max_size=70),
    st.lists(st.integers(1, 999), max_size=70),
    st.integers(0, 3),
    st.sampled_from(["", "A sentence.", "x" * 990]),
)
def test_no_line_is_left_out_that_would_fit(
    head: list[int], tail: list[int], gap: int, sentence: str
) -> None:
    texts = [f"{number} ".ljust(size, "€") for number, size in enumerate([*head, *tail])]
    lines = [text.strip().encode() for text in texts]
    texts = [line.decode() for line in lines]
    sentences = [sentence] if sentence else []
    output = Captured(lines[: len(head)], gap, 0, lines[len(head) :])
    errors = failure(sentences, Server.V3, output).errors
    everything = [*sentences, *texts]
    if not texts or (errors == everything and not gap):
        assert errors == (everything or ["The check failed without saying why."])
        return
    [place] = [at for at, error in enumerate(errors) if error.startswith("… ")]
    first, last = errors[len(sentences) : place], errors[place + 1 :]
    assert errors[: len(sentences)] == sentences
    left_out = len(texts) - len(first) - len(last) + gap
    assert errors[place] == wording.lines_left_out(left_out)
    assert texts[: len(first)] == first and texts[len(texts) - len(last) :] == last
    if gap:
        assert len(first) <= len(head) and len(last) <= len(tail)
    if left_out == gap:
        return
    # The sides take turns, as long as both have something left.
    at_middle = (len(first) == len(head), len(last) == len(tail)) if gap else (False, False)
    if not any(at_middle):
        assert len(first) - len(last) in (0, 1)
    from_start = at_middle[1] or (len(first) == len(last) and not at_middle[0])
    following = texts[len(first)] if from_start else texts[len(texts) - len(last) - 1]
    marker = wording.lines_left_out(left_out - 1)
    longer = Report(False, [*errors[:place], marker, *last, following])
    assert len(longer.errors) > MAX_LINES or len(longer.body()) > MAX_BODY_SIZE


def test_lines_on_one_side_of_what_was_dropped() -> None:
    lines = [b"%02d" % number + b"x" * 998 for number in range(30)]
    errors = failure([], Server.V3, Captured(lines[:2], 5, 0, lines[2:])).errors
    assert [error[:2] for error in errors[:2]] == ["00", "01"]
    assert errors[2].startswith("… 19 lines are left out here")
    assert [error[:2] for error in errors[3:]] == [f"{number}" for number in range(16, 30)]
    errors = failure([], Server.V3, Captured(lines[:28], 5, 0, lines[28:])).errors
    assert [error[:2] for error in errors[:14]] == [f"{number:02}" for number in range(14)]
    assert errors[14].startswith("… 19 lines are left out here")
    assert [error[:2] for error in errors[15:]] == ["28", "29"]


def test_sentences_alone_may_fill_a_report() -> None:
    sentences = ["€" * 1000] * 5
    errors = failure(sentences, Server.V3, of_lines(b"a" * 900, b"b" * 900, b"c" * 900)).errors
    assert errors[:5] == sentences and errors[5].startswith("a") and len(errors) == 7
    sentences += ["x" * 1000, "y" * 310]
    lines = of_lines(b"a" * 900, b"b" * 900)
    assert failure(sentences, Server.V3, lines).errors == sentences


def test_the_count_includes_what_was_dropped_while_running() -> None:
    capture = Capture()
    for number in range(100_000):
        capture.feed(b"line %d\n" % number)
    errors = failure([], Server.V3, capture.captured()).errors
    assert len(errors) == MAX_LINES
    assert "… 99,937 lines are left out" in errors[32]
    assert errors[-1] == "line 99999"


def test_one_endless_line_shows_its_ends() -> None:
    capture = Capture()
    capture.feed(b"start " + b"x" * 1_000_000 + b" end")
    first, marker, last = failure([], Server.V3, capture.captured()).errors
    assert first.startswith("start xxx") and first.endswith("x…")
    assert "this line of 1,000,010 bytes" in marker
    assert last.startswith("…xxx") and last.endswith("x end")


def test_messages_become_a_line_each() -> None:
    assert failure([], Server.V3, lines_of(["a\nb", "", "c\u2028d"])).errors == [
        "a",
        "b",
        "c d",
    ]


@given(
    st.lists(st.text(st.characters(), max_size=1500), max_size=3),
    st.lists(st.binary(max_size=70_000), max_size=6),
    st.integers(1, 400),
    st.sampled_from(SERVERS),
)
def test_whatever_goes_in_both_servers_take_what_comes_out(
    sentences: list[str], chunks: list[bytes], repeat: int, server: Server
) -> None:
    capture = Capture()
    for chunk in chunks:
        capture.feed(chunk * (repeat if len(chunk) < 500 else 1))
    report = failure(sentences, server, capture.captured())
    assert accepted(report, server)
    assert 1 <= len(report.errors) <= MAX_LINES
    assert all(error.strip() and len(error) <= MAX_LINE_LENGTH for error in report.errors)
    assert len(report.body()) <= MAX_BODY_SIZE
    assert json.loads(report.body()) == {"OK": False, "Errors": report.errors}
    for error in report.errors:
        # Every backslash is doubled, so that a label of it can be parsed.
        assert "\\" not in error.replace("\\\\", "")


def judged(
    outcome: Outcome,
    output: Captured = NOTHING_CAPTURED,
    other: Captured = NOTHING_CAPTURED,
    *,
    stream: str = "stderr",
    hints: Sequence[str] = (),
    is_plugin: bool = False,
    ok: Sequence[int] = (0,),
    warn: Sequence[int] = (),
) -> list[str]:
    report = judge(
        outcome,
        ok_exit_codes=frozenset(ok),
        warn_exit_codes=frozenset(warn),
        editor=Editor(Server.V3, lambda text: text),
        stream=stream,
        output=output,
        other_output=other,
        hints=hints,
        is_plugin=is_plugin,
    )
    assert report.ok is (report.errors == [])
    return [*report.errors, *report.warnings]


def exited(status: int) -> Outcome:
    return Outcome(Ending.EXITED, status, None, 1.0)


DIED = Outcome(Ending.DIED, None, signal.SIGKILL, 1.0)
TOLD = exited(2)._replace(stopped_by=StoppedBy.SIGNAL, stop_signal=signal.SIGINT, stopped_after=1.0)
SILENT = "The script exited with status 2 and wrote nothing to stderr."
DEATH = "The script died of SIGKILL (Killed) after 1.0 s."
STOPPED = "khshim was told to stop by SIGINT after 1.0 s; the script then exited with status 2."
UNKNOWN = "UNKNOWN: the plugin could not find out (exit status 3), so this may be no outage."
ODD = "The plugin exited with status {}, which is not a status of a Nagios plugin (0 to 3)."


@pytest.mark.parametrize(
    ("judged_so", "errors"),
    [
        (lambda: judged(exited(0)), []),
        (lambda: judged(exited(2), ok=[0, 2]), []),
        (lambda: judged(exited(0), ok=[2]), [SILENT.replace("2", "0")]),
        (lambda: judged(TOLD._replace(exit_status=0)), []),
        (
            lambda: judged(TOLD._replace(exit_status=1), warn=[1]),
            [
                "khshim was told to stop by SIGINT after 1.0 s; the script then exited with status"
                " 1.",
                "It wrote nothing to stderr.",
            ],
        ),
        (lambda: judged(exited(2)), [SILENT]),
        (lambda: judged(exited(2), of_lines(b"x")), ["x"]),
        (lambda: judged(exited(2), hints=["Hint."]), [SILENT, "Hint."]),
        (lambda: judged(exited(2), of_lines(b"x"), hints=["Hint."]), ["Hint.", "x"]),
        (lambda: judged(TOLD), [STOPPED, "It wrote nothing to stderr."]),
        (lambda: judged(TOLD, of_lines(b"x")), [STOPPED, "x"]),
        (lambda: judged(DIED, of_lines(b"x")), [DEATH, "x"]),
        (lambda: judged(DIED, hints=["Hint."]), [DEATH, "Hint.", "It wrote nothing to stderr."]),
        # Exit statuses that mean something.
        (
            lambda: judged(
                exited(127), of_lines(b""), of_lines(b"x: error while loading shared libraries")
            ),
            [
                "The script exited with status 127 (a shared library is missing) and wrote nothing"
                " to stderr; the last line on stdout: x: error while loading shared libraries"
            ],
        ),
        (
            lambda: judged(
                exited(127),
                NOTHING_CAPTURED,
                Captured([b"a"], 1, 0, [b"Error loading shared library", b"b"]),
            ),
            [
                "The script exited with status 127 (a shared library is missing) and wrote nothing"
                " to stderr; the last line on stdout: b"
            ],
        ),
        (
            lambda: judged(exited(126), other=of_lines(b"loading shared libraries")),
            [
                "The script exited with status 126 (a command was found that could not be executed)"
                " and wrote nothing to stderr; the last line on stdout: loading shared libraries"
            ],
        ),
        # Plugins.
        (lambda: judged(exited(3), of_lines(b"x"), is_plugin=True), [UNKNOWN, "x"]),
        (lambda: judged(exited(3), of_lines(b"x")), ["x"]),
        (lambda: judged(exited(4), of_lines(b"x"), is_plugin=True), [ODD.format(4), "x"]),
        (lambda: judged(exited(4), of_lines(b"x")), ["x"]),
        (lambda: judged(exited(1), of_lines(b"x"), is_plugin=True), ["x"]),
        (lambda: judged(exited(0), of_lines(b"x"), is_plugin=True, ok=[2]), ["x"]),
        (lambda: judged(DIED, of_lines(b"x | a=1"), is_plugin=True, stream="stdout"), [DEATH, "x"]),
        (lambda: judged(exited(2), of_lines(b"x | a=1"), is_plugin=True, stream="both"), ["x"]),
        (lambda: judged(exited(2), of_lines(b"x | a=1"), is_plugin=True), ["x | a=1"]),
        (lambda: judged(exited(2), of_lines(b"x | a=1"), stream="stdout"), ["x | a=1"]),
        (
            lambda: judged(
                exited(2),
                Captured([b"x | a=1", b"y"], 5, 0, [b"z | b=1", b"c=3", b"end"]),
                is_plugin=True,
                stream="stdout",
            ),
            ["x", "y", wording.lines_left_out(5), "z", "end"],
        ),
        # What is left of a stream that shows nothing.
        (
            lambda: judged(exited(2), of_lines(b"\0")),
            ["The script exited with status 2 and wrote nothing readable to stderr."],
        ),
        (lambda: judged(exited(2), Captured([b" "], tail=[b"\t"])), [SILENT]),
        (
            lambda: judged(exited(2), Captured([b""], 1, 0, [b"\0"]), hints=["Hint."]),
            [
                "The script exited with status 2 and wrote nothing readable to stderr (its first"
                " and last 64 KiB were looked at; the pod's log has everything).",
                "Hint.",
            ],
        ),
        (
            lambda: judged(exited(2), Captured(["…".encode()], 0, 1, ["…".encode()])),
            [
                "The script exited with status 2 and wrote nothing readable to stderr (its first"
                " and last 64 KiB were looked at; the pod's log has everything)."
            ],
        ),
    ],
)
def test_verdicts(judged_so: Callable[[], list[str]], errors: list[str]) -> None:
    assert judged_so() == errors


@pytest.mark.parametrize(
    ("line", "quoted"),
    [
        (b"x" * 500, "x" * 500),
        (b"x" * 501, "x" * 499 + "…"),
        ("…".encode() + b"x" * 499, "…" + "x" * 499),
        ("…".encode() + b"x" * 499 + b"y", "…" + "x" * 498 + "y"),
        (b"a\\b", "a\\\\b"),
    ],
)
def test_the_last_line_of_the_other_stream_is_quoted(line: bytes, quoted: str) -> None:
    [error] = judged(exited(2), other=Captured([b"first"], 0, 0, [line, b"", b"\0"]))
    assert error == f"{SILENT[:-1]}; the last line on stdout: {quoted}"

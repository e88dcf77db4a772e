from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.supervise.capture import (
    CUT_BYTES,
    END_SIZE,
    Capture,
    Captured,
    ScriptOutput,
    WholeLines,
)


def capture(*chunks: bytes) -> Captured:
    result = Capture()
    for chunk in chunks:
        result.feed(chunk)
    return result.captured()


def test_nothing() -> None:
    assert capture() == Captured([])
    assert capture(b"") == Captured([])


def test_lines_are_split_on_newlines_only() -> None:
    text = "a\x0bb\x0cc\x1cd\u2028e\r\n\nf".encode()
    assert capture(text).head == ["a\x0bb\x0cc\x1cd\u2028e\r".encode(), b"", b"f"]


def test_a_last_newline_begins_no_line() -> None:
    assert capture(b"a\n").head == [b"a"]


@given(st.lists(st.binary(max_size=50)))
def test_what_fits_is_kept_however_it_is_split(chunks: list[bytes]) -> None:
    data = b"".join(chunks)
    expected = data.removesuffix(b"\n").split(b"\n") if data else []
    assert capture(*chunks) == Captured(expected)


@given(
    st.integers(min_value=1, max_value=300_000),
    st.sampled_from([1, 7, 30, 500, 4000]),
    st.sampled_from([100, 4096, 65_536, 1_000_000]),
    st.booleans(),
)
def test_head_and_tail_are_true_and_the_rest_is_counted(
    total: int, width: int, chunk: int, ends: bool
) -> None:
    """Numbered lines show which ones are there."""
    lines = [b"%0*d" % (width, number) for number in range(max(2, total // (width + 1)))]
    data = b"\n".join(lines) + (b"\n" if ends else b"")
    result = capture(*(data[at : at + chunk] for at in range(0, len(data), chunk)))
    assert result.one_line_of == 0
    shown = [*result.head, *result.tail]
    assert len(shown) + result.lines_left_out == len(lines)
    assert result.head == lines[: len(result.head)]
    assert result.tail == lines[len(lines) - len(result.tail) :]


def test_one_endless_line() -> None:
    result = capture(b"start ", *[b"x" * 65_536] * 32, b" end\n")
    assert result.one_line_of == len(b"start ") + 32 * 65_536 + len(b" end")
    [start] = result.head
    assert start == b"start " + b"x" * (END_SIZE - 6) + CUT_BYTES
    [end] = result.tail
    assert end.startswith(CUT_BYTES + b"xxx") and end.endswith(b"x end")


def test_an_endless_line_between_others() -> None:
    result = capture(b"first\n", *[b"x" * 65_536] * 32, b"\nlast\n")
    assert result == Captured([b"first"], 1, 0, [b"last"])


def test_an_endless_last_line() -> None:
    result = capture(b"first\n" + b"y\n" * 100_000, *[b"x" * 60_000] * 20, b" end\n")
    [end] = result.tail
    assert end.startswith(CUT_BYTES + b"xxx") and end.endswith(b"x end")
    assert result.lines_left_out == 100_000 + 1 - len(result.head)


def numbered(size: int) -> bytes:
    """Return `size` bytes of lines that can be told apart."""
    return b"".join(b"%d\n" % number for number in range(size // 2))[:size]


def test_three_times_the_size_of_an_end_is_kept() -> None:
    data = numbered(3 * 65_536)
    assert capture(data) == Captured(data.removesuffix(b"\n").split(b"\n"))
    result = capture(data + b"!")
    assert result.lines_left_out > 0
    assert len(b"\n".join(result.head)) <= 65_536 >= len(b"\n".join(result.tail))


def test_the_head_is_filled_to_its_last_byte() -> None:
    result = capture(b"a" * 65_535, b"b" * 200_000)
    assert result.head == [b"a" * 65_535 + b"b" + CUT_BYTES]
    assert result.tail == [CUT_BYTES + b"b" * 65_536]
    assert result.one_line_of == 265_535


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"\n", b"x", b"x\n", b"\nx", b"long line\n"]),
            st.sampled_from([0, 1, 2, 100, END_SIZE // 2, END_SIZE - 1, END_SIZE, END_SIZE + 1]),
        ),
        max_size=9,
    )
)
def test_lines_and_bytes_are_counted(parts: list[tuple[bytes, int]]) -> None:
    chunks = [part * times for part, times in parts]
    data = b"".join(chunks)
    remembered = Capture()
    for chunk in chunks:
        remembered.feed(chunk)
    lines = data.removesuffix(b"\n").split(b"\n") if data else []
    assert remembered.count() == (len(lines), len(data))
    result = remembered.captured()
    if not result.one_line_of:
        assert len(result.head) + result.lines_left_out + len(result.tail) == len(lines)
    else:
        assert result.one_line_of == len(data.removesuffix(b"\n"))
        assert (len(result.head), result.lines_left_out, len(result.tail)) == (1, 0, 1)


def test_a_newline_at_the_very_edge_is_counted() -> None:
    remembered = Capture()
    remembered.feed(b"x" * END_SIZE + b"\n" + b"y" * 3 * END_SIZE)
    assert remembered.count() == (2, 4 * END_SIZE + 1)


def test_an_endless_first_line() -> None:
    result = capture(b"x" * 300_000, b"\n", numbered(300_000), b"end")
    assert result.head == [b"x" * END_SIZE + CUT_BYTES]
    lines = 1 + len((numbered(300_000) + b"end").split(b"\n"))
    assert result.lines_left_out == lines - 1 - len(result.tail)


def test_memory_is_bounded() -> None:
    result = Capture()
    for _ in range(1000):
        result.feed(b"z" * 65_536)
        assert len(result._head) + len(result._tail) <= 4 * END_SIZE


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=20))))
def test_two_streams_share_a_capture_line_by_line(
    chunks: list[tuple[bool, bytes]],
) -> None:
    merged = Capture()
    streams = {True: WholeLines(merged.feed), False: WholeLines(merged.feed)}
    for which, chunk in chunks:
        streams[which].feed(chunk)
    for stream in streams.values():
        stream.close()
    separate = []
    for which in (True, False):
        data = b"".join(chunk for owner, chunk in chunks if owner is which)
        separate += data.removesuffix(b"\n").split(b"\n") if data else []
    assert sorted(merged.captured().head) == sorted(separate)


def test_an_endless_line_is_not_held_back() -> None:
    passed: list[int] = []
    lines = WholeLines(lambda data: passed.append(len(data)))
    for _ in range(100):
        lines.feed(b"x" * 65_536)
    assert sum(passed) >= 98 * 65_536


def test_a_long_unfinished_line_does_not_swallow_the_other_streams() -> None:
    both = Capture()
    stdout, stderr = WholeLines(both.feed), WholeLines(both.feed)
    stdout.feed(b"." * (END_SIZE + 1))
    stderr.feed(b"error\n")
    stdout.feed(b"rest\n")
    [first, error, rest] = both.captured().head
    assert first == b"." * (END_SIZE + 1) + CUT_BYTES
    assert (error, rest) == (b"error", CUT_BYTES + b"rest")


def test_whole_lines_are_passed_on_at_once_and_nothing_else() -> None:
    passed: list[bytes] = []
    lines = WholeLines(passed.append)
    lines.feed(b"a\nb\nc")
    assert passed == [b"a\nb\n"]
    lines.feed(b"d")
    lines.feed(b"")
    assert passed == [b"a\nb\n"]
    lines.feed(b"e\n")
    lines.close()
    assert passed == [b"a\nb\n", b"cde\n"]
    lines.feed(b"f")
    lines.close()
    lines.close()
    assert passed == [b"a\nb\n", b"cde\n", b"f\n"]


def test_how_long_a_line_is_held_back() -> None:
    passed: list[bytes] = []
    lines = WholeLines(passed.append)
    lines.feed(b"." * 40_000 + b"\n" + b"." * 40_000)
    assert passed == [b"." * 40_000 + b"\n"]
    lines.feed(b"." * (65_536 - 40_000))
    assert len(passed) == 1
    lines.feed(b".")
    assert passed[1:] == [b"." * 65_537 + CUT_BYTES + b"\n"]


@pytest.mark.parametrize(
    ("merged", "stream", "shown", "other"),
    [
        (False, "stdout", [b"out", b"more"], [b"err", b"last"]),
        (False, "stderr", [b"err", b"last"], [b"out", b"more"]),
        (True, "both", [b"out", b"err", b"more", b"last"], [b"err", b"last"]),
    ],
)
def test_what_is_remembered_of_a_scripts_output(
    merged: bool, stream: str, shown: list[bytes], other: list[bytes]
) -> None:
    output = ScriptOutput(merged=merged)
    output.feed_stdout(b"out\n")
    output.feed_stderr(b"err\nla")
    output.feed_stdout(b"more")
    output.feed_stderr(b"st")
    assert output.captured(stream) == (Captured(shown), Captured(other))
    assert output.count_stderr() == (2, 8)


def test_a_newline_at_the_cut_begins_no_line() -> None:
    passed: list[bytes] = []
    lines = WholeLines(passed.append)
    lines.feed(b"." * (END_SIZE + 1))
    lines.feed(b"")
    lines.feed(b"\n")
    lines.feed(b"next\n")
    lines.feed(b"." * (END_SIZE + 1))
    lines.feed(b"\nand next\n")
    lines.close()
    assert passed[1] == b"next\n" and passed[3:] == [b"and next\n"]


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (b"one\rtwo\rthr", b"one\rtwo"),
        (b"one\b\b\btw", b"one"),
        (b"one\b\b\b", b"one"),
        (b"one\rtwo\b\b\bth", b"one\rtwo"),
        (b"one\b\b\btwo\b\b\bth", b"one\b\b\btwo"),
        (b"one\b\b\btwo\rth", b"one\b\b\btwo"),
        (b"oneX\b\b\b\btw", b"oneX"),
    ],
)
def test_what_a_cut_line_is_being_rewritten_with_is_dropped(line: bytes, kept: bytes) -> None:
    filler = b"x" * (END_SIZE - len(line))
    [start] = capture(filler + line, b"y" * 3 * END_SIZE).head
    assert start == filler + kept + CUT_BYTES


@pytest.mark.parametrize("begin", [b"\r", b"\b"])
def test_a_cut_line_of_one_unfinished_state(begin: bytes) -> None:
    [start] = capture(begin + b"x" * (END_SIZE - 1), b"y" * 3 * END_SIZE).head
    assert start == CUT_BYTES

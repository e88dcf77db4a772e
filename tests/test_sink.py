from __future__ import annotations

import fcntl
import json
import os
import pty
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from shim.observe.script_log import ScriptLines
from shim.supervise.sink import PENDING_LIMIT, Sink


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError:
            pass


def read_all(fd: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += os.read(fd, size - len(data))
    return data


def test_a_pipe_gets_everything_in_order(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    sink = Sink(writer)
    sink.write(b"one ")
    sink.write(b"two")
    assert os.read(reader, 100) == b"one two"


def test_a_full_pipe_blocks_nothing_and_loses_nothing(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    data = os.urandom(500_000)
    sink = Sink(writer)
    sink.write(data)
    assert sink.pending
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: got.append(read_all(reader, len(data) + 4)))
    thread.start()
    sink.write(b"last")
    sink.drain(10)
    thread.join()
    assert got == [data + b"last"]


def test_the_descriptors_own_flags_are_left_alone(pipe: tuple[int, int]) -> None:
    _, writer = pipe
    Sink(writer).write(b"x" * 500_000)
    assert not fcntl.fcntl(writer, fcntl.F_GETFL) & os.O_NONBLOCK


def test_what_nobody_reads_is_bounded(pipe: tuple[int, int]) -> None:
    _, writer = pipe
    sink = Sink(writer)
    for _ in range(10):
        sink.write(b"x" * 1_000_000)
    assert len(sink.pending) == PENDING_LIMIT
    sink.drain(0.01)  # does not wait for ever


def test_a_reader_that_went_away(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    sink = Sink(writer)
    sink.write(b"x" * 500_000)
    assert not sink.pending


def test_a_closed_descriptor() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    sink = Sink(writer)
    sink.write(b"x")
    assert not sink.pending


def test_a_file(tmp_path: Path) -> None:
    with open(tmp_path / "file", "wb") as file:
        Sink(file.fileno()).write(b"x" * 500_000)
    assert (tmp_path / "file").read_bytes() == b"x" * 500_000


def test_a_full_disk() -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        sink = Sink(full.fileno())
        sink.write(b"x" * 10_000)
        assert not sink.pending


@pytest.mark.parametrize("opened_anew", [True, False])
def test_a_terminal(opened_anew: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not opened_anew:  # as one of another user
        monkeypatch.setattr("shim.supervise.sink._open_anew", lambda fd: None)
    # Many times: how much room there is when poll calls it writable is a matter of luck.
    for _ in range(100):
        master, slave = pty.openpty()
        try:
            sink = Sink(slave)
            sink.write(b"x" * 100)
            assert os.read(master, 1000) == b"x" * 100
            sink.write(b"y" * 500_000)  # nobody reads: it must come back
            assert sink.pending
        finally:
            os.close(slave)
            os.close(master)


@pytest.mark.parametrize(
    ("before", "expected"),
    [(b"", b"log\n"), (b"whole\n", b"whole\nlog\n"), (b"half", b"half\nlog\n")],
)
def test_a_line_of_its_own(pipe: tuple[int, int], before: bytes, expected: bytes) -> None:
    reader, writer = pipe
    sink = Sink(writer)
    sink.write(before)
    sink.write_line(b"log")
    assert os.read(reader, 100) == expected


def test_json_lines_all_arrive_however_much_longer_they_are(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    sink = Sink(writer)
    lines = ScriptLines(sink, "stdout", {})
    got = bytearray()

    def read() -> None:
        while got.count(b"\n") < 40_000:
            got.extend(os.read(reader, 1 << 20))

    thread = threading.Thread(target=read)
    thread.start()
    lines.write(b"".join(b"%d\n" % number for number in range(40_000)))
    lines.drain(30)
    thread.join()
    messages = [json.loads(line)["message"] for line in got.splitlines()]
    assert messages == [str(number) for number in range(40_000)]


def test_behind_pending_lines_no_more_are_made() -> None:
    """What is left in a pipe is taken in a moment, though its lines would take long."""
    with open(os.devnull, "wb") as ready:
        lines = ScriptLines(Sink(ready.fileno()), "stdout", {})
        lines.write(b"\n" * 2**20)
        pending = len(lines.pending)
        assert pending > 0
        lines.write(b"\n" * 65_536)
        assert len(lines.pending) == pending + 65_536

"""The output of several scripts on one pipe: whole lines, each with a name."""

from __future__ import annotations

import os
import select

import pytest

from shim.folder.outputs import LabelledLines, LineSink
from shim.supervise.sink import Sink


class Memory(Sink):
    """A Sink that keeps all it is given."""

    def __init__(self) -> None:
        super().__init__(1)
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data


@pytest.mark.parametrize(
    ("chunks", "written"),
    [
        ([b"one\ntwo\n"], b"a: one\na: two\n"),
        ([b"o", b"ne\nt", b"wo"], b"a: one\na: two\n"),
        ([b"\n\n"], b"a: \na: \n"),
        ([b""], b""),
        ([b"\xff\r\x00\n"], b"a: \xff\r\x00\n"),
    ],
)
def test_each_line_has_the_label(chunks: list[bytes], written: bytes) -> None:
    memory = Memory()
    lines = LabelledLines(memory, "a: ")
    for chunk in chunks:
        lines.write(chunk)
    lines.close()
    lines.close()
    assert memory.written == written


@pytest.mark.parametrize("size", [4092, 4093, 10000, 200000])
@pytest.mark.parametrize("at_once", [1, 1000, 1 << 20])
def test_a_line_that_is_longer_than_a_write_is_divided(size: int, at_once: int) -> None:
    memory = Memory()
    lines = LabelledLines(memory, "a: ")
    text = b"x" * size + b"\nend\n"
    for at in range(0, len(text), at_once):
        lines.write(text[at : at + at_once])
    written = memory.written.split(b"\n")
    assert all(len(line) < select.PIPE_BUF for line in written)
    assert b"".join(line.removeprefix(b"a: ") for line in written) == b"x" * size + b"end"
    assert len(written) == -(-size // (select.PIPE_BUF - 4)) + 2


def test_several_processes_write_whole_lines() -> None:
    reader, writer = os.pipe()
    pids = []
    for letter in "abc":
        pid = os.fork()
        if pid == 0:
            sink = LineSink(writer)
            for _ in range(50):
                sink.write((letter * 99 + "\n").encode() * 100)
                sink.drain(10)
            os._exit(0)
        pids.append(pid)
    os.close(writer)
    with open(reader, "rb") as file:
        lines = file.read().split(b"\n")
    for pid in pids:
        os.waitpid(pid, 0)
    assert len(lines) == 3 * 5000 + 1
    assert all(line == line[:1] * 99 for line in lines[:-1])


def test_a_line_longer_than_the_pipe_takes_at_once_is_written_whole() -> None:
    reader, writer = os.pipe()
    sink = LineSink(writer)
    text = b"x" * 300_000 + b"\nend\n"
    sink.write(text)
    read = b""
    while len(read) < len(text):
        read += os.read(reader, 65536)
        sink.flush()
    assert read == text
    os.close(reader)
    os.close(writer)

"""Running a command on a terminal of its own (pty(7))."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple


class Ended(NamedTuple):
    """A command that has ended, and all that it wrote to its terminal."""

    status: int
    text: str


class Terminal:
    """The process behind a terminal, and what it has written so far."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        self._master, slave = os.openpty()
        self.text = ""
        self.process = subprocess.Popen(
            command, env=environ, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)

    def read_until(self, words: str) -> None:
        """Read until `words` have been written."""
        while words not in self.text:
            assert self._read(), f"it ended before {words!r}: {self.text}"

    def type(self, keys: str) -> None:
        """Press keys, as somebody does who sits there."""
        os.write(self._master, keys.encode())

    def end(self) -> Ended:
        """Read to the end, and wait for the process."""
        while self._read():
            pass
        return Ended(self.process.wait(), self.text)

    def close(self) -> None:
        os.close(self._master)
        self.process.kill()
        self.process.wait()

    def _read(self) -> bool:
        try:
            data = os.read(self._master, 65536)
        except OSError:  # EIO: nobody has the other side open
            return False
        self.text += data.decode().replace("\r\n", "\n")
        return bool(data)


@contextmanager
def terminal(command: Sequence[str], environ: Mapping[str, str]) -> Iterator[Terminal]:
    """Run `command` on a terminal until the context is left."""
    opened = Terminal(command, environ)
    try:
        yield opened
    finally:
        opened.close()


def on_terminal(command: Sequence[str], environ: Mapping[str, str]) -> Ended:
    """Run `command` on a terminal to its end."""
    with terminal(command, environ) as opened:
        return opened.end()

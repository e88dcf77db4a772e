"""The commands of the documents that run containers, with the images built here."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.image.containers import LIMITS, PODMAN
from tests.support.documents import Block, pod, prepare
from tests.test_documented_commands import BLOCKS, Where, lines_for, row_of, run


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if lines_for(block, Where.IMAGE)], ids=Block.name
)
def test_it_does_what_the_document_says(block: Block, tmp_path: Path) -> None:
    folder = prepare(tmp_path)
    program = folder / "bin" / "docker"
    podman, limits = shlex.join(PODMAN), shlex.join(LIMITS)
    program.write_text(
        f'#!/bin/sh\n[ "$1" = run ] || exec {podman} "$@"\nshift\nexec {podman} run {limits} "$@"\n'
    )
    program.chmod(0o755)
    with pod(folder) as environ:
        for line in lines_for(block, Where.IMAGE):
            row = row_of(line)
            assert row is not None
            written = run(line, folder, environ, row.status)
            assert re.match(row.note, written), written
        for line in block.lines:
            if line.startswith("docker tag "):
                run(f"docker rmi {line.split()[-1]}", folder, environ)

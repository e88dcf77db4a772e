"""YAML read by the parsers of the tools that bring it into a cluster, which are written in Go."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parent.parent / "kubectl"


class GoParsers:
    """The program in tests/kubectl, built by the Go that is here; skips the test without one."""

    def __init__(self, folder: Path) -> None:
        go = shutil.which("go")
        if go is None:
            pytest.skip("Go is not installed, so kubectl's parser cannot be asked (apt: golang-go)")
        environ = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false"}

        def run(*words: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [go, *words], cwd=SOURCE, env=environ, capture_output=True, text=True, check=False
            )

        fetched = run("mod", "download", "sigs.k8s.io/yaml")
        if fetched.returncode != 0:
            pytest.skip(f"kubectl's parser cannot be fetched here: {fetched.stderr.strip()}")
        self.program = folder / "read"
        built = run("build", "-o", str(self.program))
        assert built.returncode == 0, built.stderr

    def read(self, text: str) -> list[Any]:
        """Return the documents of a YAML text, as kubectl and kustomize both read them."""
        readings = [json.loads(line) for line in self._lines(text)]
        assert [both["kubectl"] for both in readings] == [both["kustomize"] for both in readings]
        return [both["kubectl"] for both in readings]

    def as_json(self, text: str) -> list[str]:
        """Return the documents as kubectl sends them, in Go's JSON."""
        lines = self._lines(text)
        return [line.removeprefix('{"kubectl":').partition(',"kustomize":')[0] for line in lines]

    def _lines(self, text: str) -> list[str]:
        command = [self.program]
        result = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
        assert result.returncode == 0, result.stderr.decode()
        return result.stdout.decode().removesuffix("\n").split("\n")

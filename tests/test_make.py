"""What the Makefile says where something is missing."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.support.manifests import ROOT


@pytest.mark.whole_run
def test_an_image_without_what_builds_images() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    command = ["make", "--no-print-directory", "image", "DOCKER=no-such-program"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 2 and result.stdout == ""
    said, made = result.stderr.splitlines()
    assert "no no-such-program here" in said and "DOCKER=podman" in said
    assert made.endswith("Error 1")

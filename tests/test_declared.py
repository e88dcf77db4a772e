"""`khshim try` follows what a script says of its own check, as the check in the cluster does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.test_try_script import try_script

pytestmark = pytest.mark.whole_run

Write = Callable[..., str]
SHOW = 'echo "$# $1 URL=$URL TOKEN=$TOKEN" >&2; exit 1\n'


def errors(*words: str, **env: str) -> list[str]:
    found: list[str] = json.loads(try_script("--json", *words, **env).stdout)["Errors"]
    return found


@pytest.fixture
def declaring(script: Write) -> str:
    return script(
        "#!/bin/sh\n"
        "# khshim: interval=5m timeout=45s server=v2 env=URL=http://web 'env=TEXT=two words'\n"
        f"# khshim: secret-env=TOKEN=my-secret/token -- '--verbose now'\n{SHOW}",
        "web.sh",
    )


def test_variables_and_arguments(declaring: str) -> None:
    assert errors(declaring) == ["1 --verbose now URL=http://web TOKEN="]


def test_what_is_typed_wins(declaring: str) -> None:
    typed = errors(declaring, "typed", URL="http://here", TOKEN="t0ken")  # too short to be masked
    assert typed == ["1 typed URL=http://here TOKEN=t0ken"]


def test_server_and_time(declaring: str) -> None:
    def seconds_to_deadline(shown: str) -> float:
        found = re.search(r"\| deadline ([0-9.]+) s", shown)
        assert found is not None, shown
        return float(found[1])

    own = try_script(declaring).stdout
    assert "(Kuberhealthy v2)" in own and 43 < seconds_to_deadline(own) <= 45
    typed = try_script("--server", "v3", "--timeout", "20s", declaring).stdout
    assert "(Kuberhealthy v3)" in typed and 18 < seconds_to_deadline(typed) <= 20


def test_a_variable_from_a_secret_is_asked_for(declaring: str) -> None:
    said = "web.sh has TOKEN from the secret my-secret in the cluster, and it is not set here"
    assert said in try_script(declaring).stderr
    assert said not in try_script(declaring, TOKEN="t0ken").stderr


def test_files_beside_it(script: Write, tmp_path: Path) -> None:
    (tmp_path / "lib.sh").write_text("greet() { echo hello from $PWD >&2; }\n")
    path = script("#!/bin/sh\n# khshim: file=lib.sh\n. ./lib.sh\ngreet\nexit 1\n")
    assert errors(path) == [f"hello from {tmp_path}"]


def test_a_folder_whose_scripts_say_it(declaring: str, script: Write, tmp_path: Path) -> None:
    script(f"#!/bin/sh\n{SHOW}", "other.sh")
    script("#!/bin/sh\n# khshim: intervall=5m\n", "wrong.sh")
    result = try_script("--json", str(tmp_path))
    found = {Path(one["script"]).name: one["errors"] for one in json.loads(result.stdout)}
    assert found["web.sh"] == ["1 --verbose now URL=http://web TOKEN="]
    assert found["other.sh"] == ["0  URL= TOKEN="]
    assert result.stderr.count("web.sh has TOKEN from the secret my-secret") == 1
    [said] = found["wrong.sh"]
    assert said.endswith(
        "wrong.sh, line 2: there is no intervall to be said of a check. Did you mean interval?"
    )


def test_a_header_that_is_wrong(script: Write) -> None:
    result = try_script(script("#!/bin/sh\n# khshim: timeout=soon\n"))
    assert result.returncode == 64 and "check.sh, line 2: timeout" in result.stderr


def test_a_script_named_by_its_setting(declaring: str) -> None:
    assert errors(SHIM_SCRIPT=declaring) == ["1 --verbose now URL=http://web TOKEN="]
    given = errors(SHIM_SCRIPT=declaring, SHIM_ARGS="a b")
    assert given == ["2 a URL=http://web TOKEN="]

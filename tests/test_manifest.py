from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from shim.commands.manifest import to_yaml
from shim.settings import Settings
from tests.conftest import KHSHIM
from tests.manifests import ROOT, assert_restricted, load, pod_spec, validate
from tests.test_settings import GOOD

Write = Callable[..., str]
SCRIPT = "#!/bin/sh\n\techo tab\t; echo 'blank at the end' \n\n  echo ümlaut\n"


def manifest(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*KHSHIM, "manifest", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
    )


@pytest.fixture
def common(script: Write) -> list[str]:
    return [script(SCRIPT), "--name", "my-check", "--timeout", "1m"]


@pytest.mark.parametrize(
    ("words", "kind", "spec"),
    [
        (["--interval", "5m"], "HealthCheck", {"runInterval": "5m", "timeout": "1m"}),
        (
            ["--interval", "5m", "--server", "v2"],
            "KuberhealthyCheck",
            {"runInterval": "5m", "timeout": "1m"},
        ),
        (["--once", "--server", "v2"], "KuberhealthyJob", {"timeout": "1m"}),
        (
            ["--once"],
            "HealthCheck",
            {"singleRunOnly": True, "runInterval": "8760h", "timeout": "1m"},
        ),
        (
            [
                "--interval=5m",
                "--label",
                "team=a",
                "--label",
                "x=y=z",
                "--annotation",
                "note=b c",
            ],
            "HealthCheck",
            {
                "runInterval": "5m",
                "timeout": "1m",
                "extraLabels": {"team": "a", "x": "y=z"},
                "extraAnnotations": {"note": "b c"},
            },
        ),
    ],
)
def test_what_is_written(
    common: list[str], words: list[str], kind: str, spec: dict[str, object]
) -> None:
    result = manifest(*common, *words)
    assert result.returncode == 0, result.stderr
    config_map, check = load(result.stdout)
    assert config_map["data"] == {"check.sh": SCRIPT}
    assert check["kind"] == kind
    assert {key: value for key, value in check["spec"].items() if key != "podSpec"} == spec
    validate(check)
    assert_restricted(pod_spec(check))
    assert ("singleRunOnly" in result.stderr) == ("--once" in words and kind == "HealthCheck")


def test_everything_that_can_be_said(common: list[str]) -> None:
    result = manifest(
        *common, "--interval", "5m", "--namespace", "shop", "--image", "registry.example/khshim:1",
        "--env", "URL=http://x/?a=b", "--env", "EMPTY=", "--secret-env", "TOKEN=secrets/the/key",
        "arg one", "--", "--flag", "-x",
    )  # fmt: skip
    config_map, check = load(result.stdout)
    assert config_map["metadata"] == check["metadata"] == {"name": "my-check", "namespace": "shop"}
    [container] = pod_spec(check)["containers"]
    assert container["image"] == "registry.example/khshim:1"
    assert container["args"] == ["/checks/check.sh", "arg one", "--flag", "-x"]
    assert container["env"] == [
        {"name": "SHIM_CHECK_NAME", "value": "my-check"},
        {"name": "URL", "value": "http://x/?a=b"},
        {"name": "EMPTY", "value": ""},
        {
            "name": "TOKEN",
            "valueFrom": {"secretKeyRef": {"name": "secrets", "key": "the/key"}},
        },
    ]
    validate(check)


def test_it_is_readable_and_deterministic(common: list[str]) -> None:
    first, second = (manifest(*common, "--interval", "5m").stdout for _ in range(2))
    assert first == second
    assert (
        "  check.sh: |\n    #!/bin/sh\n    \techo tab\t; echo 'blank at the end' \n\n      echo ümlaut\n---\n"
        in first
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--interval", "1d"], "--interval 1d is not a duration to Go"),
        (["--interval", "300"], "--interval 300 is not a duration to Go"),
        (
            ["--interval", "5m", "--timeout", "30"],
            "--timeout 30 is not a duration to Go",
        ),
        (["--interval", "30s"], "--interval 30s is shorter than --timeout 1m"),
        (["--interval", "5m", "--timeout", "20s"], "--timeout 20s leaves no room"),
        (
            ["--interval", "5m", "--timeout", "50s", "--server", "v2"],
            "it should be 51s or more",
        ),
        (
            ["--interval", "5m", "--name", "My_Check"],
            "--name My_Check: Kubernetes wants",
        ),
        (["--interval", "5m", "--name", "x" * 64], "Kubernetes wants at most 63"),
        (["--interval", "5m", "--namespace=-x"], "--namespace -x: Kubernetes wants"),
        (
            ["--interval", "5m", "--env", "a b=c"],
            "a b is not a name for an environment variable",
        ),
    ],
)
def test_what_cannot_be_a_check(common: list[str], words: list[str], sentence: str) -> None:
    result = manifest(*common, *words)
    assert result.returncode == 1
    assert sentence in result.stderr and result.stderr.count("\n") == 1
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("big.sh", b"#" * (1024 * 1024 + 1), "is larger than the 1 MiB of a ConfigMap"),
        ("program", b"\x7fELF\0", "is not text"),
        ("latin1.sh", b"echo \xe4\n", "is not text"),
        ("empty.sh", b"\n", "is empty"),
        ("dos.sh", b"#!/bin/sh\r\necho\r\n", "has Windows line endings"),
        ("dos.py", b"#!/usr/bin/env python3\r\n", "has Windows line endings"),
        ("mark.sh", b"\xef\xbb\xbf#!/bin/sh\n", "begins with a byte order mark"),
        ("wide.sh", "#!/bin/sh\n".encode("utf-16"), "is UTF-16 text"),
        ("my check.sh", b"echo\n", "in a ConfigMap a file's name"),
        ("..sh", b"echo\n", "in a ConfigMap a file's name"),
    ],
)
def test_what_cannot_be_in_a_config_map(
    script: Write, name: str, content: bytes, sentence: str
) -> None:
    path = script(content, name)
    result = manifest(path, "--name", "x", "--interval", "5m", "--timeout", "1m")
    assert result.returncode == 1
    assert sentence in result.stderr


def test_a_missing_script() -> None:
    result = manifest("/no/such.sh", "--name", "x", "--interval", "5m", "--timeout", "1m")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "/no/such.sh cannot be read: No such file or directory" in result.stderr


@pytest.mark.parametrize(
    "words", [[], ["a.sh"], ["a.sh", "--name", "x", "--timeout", "1m"], ["--frob"]]
)
def test_wrong_usage(words: list[str]) -> None:
    assert manifest(*words).returncode == 64


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text("ab \t\n#:|>-'\"\\\x85\u2028"))
@example("a\x85b\n", "\x85")
def test_any_text_survives_yaml(one: str, two: str) -> None:
    documents = [{"data": {"one": one, "two": two}}]
    assert list(yaml.safe_load_all(to_yaml(documents))) == documents


@pytest.mark.parametrize("name", ["khcheck.yaml", "healthcheck.yaml"])
def test_the_examples_are_valid(name: str) -> None:
    config_map, check = load((ROOT / name).read_text())
    assert config_map["kind"] == "ConfigMap"
    validate(check)
    assert_restricted(pod_spec(check))


def test_the_kustomization_is_valid() -> None:
    folder = ROOT / "examples" / "kustomize"
    [kustomization] = load((folder / "kustomization.yaml").read_text())
    [check] = load((folder / kustomization["resources"][0]).read_text())
    [generator] = kustomization["configMapGenerator"]
    validate(check)
    pod = pod_spec(check)
    assert_restricted(pod)
    assert pod["volumes"][0]["configMap"]["name"] == generator["name"]
    env = {variable["name"]: variable["value"] for variable in pod["containers"][0]["env"]}
    assert env["SHIM_SCRIPT"] in [Path(file).name for file in generator["files"]]
    assert all((folder / file).is_file() for file in generator["files"])
    assert Settings({**GOOD, **env}).problems == []

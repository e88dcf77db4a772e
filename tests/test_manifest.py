from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.commands.kubernetes import literal
from shim.settings import Settings
from tests.support.go_parsers import GoParsers
from tests.support.khshim import KHSHIM
from tests.support.manifests import ROOT, assert_restricted, expand, load, pod_spec, validate
from tests.support.settings import GOOD

pytestmark = pytest.mark.whole_run

Write = Callable[..., str]
SCRIPT = "#!/bin/sh\n\techo tab\t; echo 'blank at the end' \n\n  echo ümlaut\n"


def manifest(*words: str | bytes) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*KHSHIM, "manifest", *words], capture_output=True, text=True, check=False
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
                "example.org/on=y",
                "--annotation",
                "note=b c",
            ],
            "HealthCheck",
            {
                "runInterval": "5m",
                "timeout": "1m",
                "extraLabels": {"team": "a", "example.org/on": "y"},
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
        "--env", "URL=http://x/?a=b", "--env", "EMPTY=", "--secret-env", "TOKEN=my.secret/the.key",
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
            "valueFrom": {"secretKeyRef": {"name": "my.secret", "key": "the.key"}},
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
    ],
)
def test_what_cannot_be_a_check(common: list[str], words: list[str], sentence: str) -> None:
    result = manifest(*common, *words)
    assert result.returncode == 1
    assert sentence in result.stderr and result.stderr.count("\n") == 1
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--image", ""], "--image '': an image's name is written like"),
        (["--image", " khshim"], "--image ' khshim': an image's name"),
        (["--image", "Khshim:1"], "an image's name"),
        (["--image", "khshim:"], "an image's name"),
        (["--image", "https://example.org/khshim"], "an image's name"),
        (["--env", "a b=c"], "a b is not a name for an environment variable"),
        (["--env", "..a=c"], "..a is not a name for an environment variable"),
        (["--env", "A=1", "--env", "A=2"], "the variable A is given twice"),
        (["--env", "A=1", "--secret-env", "A=s/k"], "the variable A is given twice"),
        (["--env", "SHIM_CHECK_NAME=x"], "SHIM_CHECK_NAME is set to what --name says"),
        (["--secret-env", "KH_RUN_UUID=s/k"], "KH_RUN_UUID is set by Kuberhealthy"),
        (["--env", "SHIM_TIMEOUT=1d"], 'SHIM_TIMEOUT is "1d"; expected a duration'),
        (["--secret-env", "A=My_Secret/k"], "--secret-env A=My_Secret/k: a secret's name"),
        (["--secret-env", "A=s/k/l"], "--secret-env A=s/k/l: a secret's key"),
        (["--secret-env", "A=s/.."], "a secret's key"),
        (["--label", "a b=c"], "--label a b=c: a key is at most 63"),
        (["--label", "a/b/c=d"], "--label a/b/c=d: a key is at most 63"),
        (["--label", "Example.org/a=d"], "a key is at most 63"),
        (["--label", f"{'x' * 64}=d"], "a key is at most 63"),
        (["--label", "a=b c"], "--label a=b c: a value is at most 63"),
        (["--label", "a=-b"], "a value is at most 63"),
        (["--label", f"a={'x' * 64}"], "a value is at most 63"),
        (["--label", "a=b", "--label", "a=c"], "--label a is given twice"),
        (["--annotation", "a b=c"], "--annotation a b=c: a key is at most 63"),
        (["--annotation", "a=", "--annotation", "a=c"], "--annotation a is given twice"),
        ([b"\xff"], "is not UTF-8"),
        (["--env", b"A=\xff"], "is not UTF-8"),
    ],
)
def test_what_a_cluster_would_refuse(
    common: list[str], words: list[str | bytes], sentence: str
) -> None:
    result = manifest(*common, "--interval", "5m", *words)
    assert result.returncode == 1
    assert sentence in result.stderr and result.stderr.count("\n") == 1
    assert result.stdout == ""


@pytest.mark.parametrize(
    "words",
    [
        ["--image", "khshim"],
        ["--image", "Registry.example:5000/a_b/c--d/e.f__g:V1.0_x"],
        ["--image", f"[fd00::1]:5000/khshim:1@sha256:{'0a' * 32}"],
        ["--label", f"{'a.' * 100}b/{'x' * 63}={'y' * 63}", "--label", "A_b.c="],
        ["--annotation", "Example.org/a=any: text\n $(x) \x85"],
        ["--secret-env", "A=a.b-c/_.k"],
        ["--env", "SHIM_CA_FILE=/in/the/pod", "--env", "SHIM_TIMEOUT=10s"],
    ],
)
def test_what_can_be_a_check(common: list[str], words: list[str]) -> None:
    result = manifest(*common, "--interval", "5m", *words)
    assert (result.returncode, result.stderr) == (0, "")
    validate(load(result.stdout)[1])


@pytest.mark.parametrize(
    ("words", "note"),
    [
        (["--env", "SHIM_TIMOUT=5s"], "SHIM_TIMOUT is no setting of khshim and has no effect."),
        (["--env", "SHIM_ARGS=x"], "SHIM_ARGS is ignored"),
    ],
)
def test_what_has_no_effect(common: list[str], words: list[str], note: str) -> None:
    result = manifest(*common, "--interval", "5m", *words)
    assert result.returncode == 0
    assert f"khshim manifest: note that {note}" in result.stderr


LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@pytest.mark.parametrize("character", ["#", "&", "\\", "ü", "\u2028"])
@pytest.mark.timeout(300)
def test_what_kubectl_apply_cannot_keep(script: Write, go: GoParsers, character: str) -> None:
    """`kubectl apply` keeps Go's JSON of the object in an annotation, of at most 256 KiB."""

    def tell(count: int) -> tuple[int, bool]:
        words = [
            script("x" + character * count),
            "--name",
            "x",
            "--interval",
            "5m",
            "--timeout",
            "1m",
        ]
        result = manifest(*words)
        assert result.returncode == 0
        assert result.stderr == "" or "`kubectl apply --server-side`" in result.stderr
        kept = len(LAST_APPLIED) + len(go.as_json(result.stdout)[0].encode())
        return kept, result.stderr != ""

    one, _ = tell(1)
    each = tell(2)[0] - one
    most = (256 * 1024 - one) // each
    kept, noted = tell(most)
    assert kept <= 256 * 1024 and noted
    # Its own additions to the object are at most this long.
    assert tell(most - 150 // each) == (kept - 150 // each * each, False)


def test_the_text_is_utf_8_in_any_locale(common: list[str]) -> None:
    environ = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    command = [*KHSHIM, "manifest", *common, "--interval", "5m", "ü€"]
    result = subprocess.run(command, env=environ, capture_output=True, check=True)
    assert load(result.stdout.decode())[0]["data"] == {"check.sh": SCRIPT}


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


@pytest.mark.timeout(300)
def test_go_reads_what_was_asked_for(common: list[str], go: GoParsers) -> None:
    result = manifest(
        *common, "--interval", "5m", "--name", "123e4", "--namespace", "0x1f", "--image", "1e3",
        "--env", "A=y", "--env", "C=08", "--env", "E=1234e56", "--env", "y=", "--env", "_=2001-01-01",
        "--secret-env", "N=1e3/0o17", "--label", "y=n", "--label", "08=1e-3",
        "--annotation", "null=~", "--annotation", "on=- x: #",
        "y", "1e3", "", " ", "12:30:45", "a: b",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    config_map, check = documents = go.read(result.stdout)
    assert documents == load(result.stdout)
    assert config_map["metadata"] == check["metadata"] == {"name": "123e4", "namespace": "0x1f"}
    assert check["spec"]["extraLabels"] == {"y": "n", "08": "1e-3"}
    assert check["spec"]["extraAnnotations"] == {"null": "~", "on": "- x: #"}
    [container] = pod_spec(check)["containers"]
    assert container["image"] == "1e3"
    assert container["args"][1:] == ["y", "1e3", "", " ", "12:30:45", "a: b"]
    assert container["env"] == [
        {"name": "SHIM_CHECK_NAME", "value": "123e4"},
        {"name": "A", "value": "y"},
        {"name": "C", "value": "08"},
        {"name": "E", "value": "1234e56"},
        {"name": "y", "value": ""},
        {"name": "_", "value": "2001-01-01"},
        {"name": "N", "valueFrom": {"secretKeyRef": {"name": "1e3", "key": "0o17"}}},
    ]
    validate(check)


VARIABLES = {"A": "$(B)", "B": "x", "SHIM_CHECK_NAME": "my-check"}


def test_a_container_gets_what_try_gets(common: list[str]) -> None:
    words = ["$(A)", "$$", "$(A", "$", "x$", "$$(A)", "$ü", "a$b", "$(SHIM_CHECK_NAME)"]
    env = [f"--env=V{number}={word}" for number, word in enumerate(words)]
    result = manifest(*common, "--interval", "5m", *env, "--", *words)
    [container] = pod_spec(load(result.stdout)[1])["containers"]
    assert [expand(word, VARIABLES) for word in container["args"][1:]] == words
    assert [expand(entry["value"], VARIABLES) for entry in container["env"][1:]] == words


@given(st.text("$()AB ü\U0001f600") | st.text())
def test_nothing_in_a_text_is_expanded(text: str) -> None:
    assert expand(literal(text), VARIABLES) == text


def test_the_rule_of_expansion() -> None:
    """The examples of Kubernetes' documentation, and its slip with what is not ASCII."""
    assert expand("$(A) $(B) $(C) $$(B) $$$(B) $B $(B $", VARIABLES) == (
        "$(B) x $(C) $(B) $x $B $(B $"
    )
    assert expand("$ü", VARIABLES) != "$ü"


@pytest.mark.parametrize("name", ["khcheck.yaml", "healthcheck.yaml"])
def test_the_examples_are_valid(name: str) -> None:
    config_map, check = load((ROOT / name).read_text())
    assert config_map["kind"] == "ConfigMap"
    validate(check)
    assert_restricted(pod_spec(check))


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "name", ["khcheck.yaml", "healthcheck.yaml", "examples/kustomize/healthcheck.yaml"]
)
def test_go_reads_the_examples_alike(go: GoParsers, name: str) -> None:
    text = (ROOT / name).read_text()
    assert go.read(text) == load(text)


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

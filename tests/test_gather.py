"""Several scripts in one call of `khshim manifest`, and what they say of their checks themselves."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.go_parsers import GoParsers
from tests.support.manifests import Resource, assert_restricted, load, manifest, pod_spec, validate

pytestmark = pytest.mark.whole_run

Lay = Callable[..., list[str]]
ALL = ("--interval=5m", "--timeout=1m", "--image=registry.example/khshim:1")
SH = "#!/bin/sh\n"


@pytest.fixture
def lay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lay:
    """Write files below the working directory, and return their paths."""
    monkeypatch.chdir(tmp_path)

    def write(files: dict[str, str | bytes]) -> list[str]:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return list(files)

    return write


def checks(*words: str) -> dict[str, Resource]:
    """Return the checks that are written, by their names."""
    result = manifest(*words)
    assert result.returncode == 0, result.stderr
    found = [one for one in load(result.stdout) if "podSpec" in one.get("spec", {})]
    return {check["metadata"]["name"]: check for check in found}


def container(check: Resource) -> dict[str, Any]:
    [only] = pod_spec(check)["containers"]
    found: dict[str, Any] = only
    return found


@pytest.mark.timeout(300)
def test_twenty_scripts_are_forty_documents(lay: Lay, go: GoParsers) -> None:
    """In one call, and in a loop of calls whose outputs are put one behind the other."""
    paths = lay({f"checks/check_{number}.sh": SH for number in range(20)})
    result = manifest("checks", *ALL)
    documents = load(result.stdout)
    assert result.stderr == ""
    assert len(documents) == 40
    assert go.read(result.stdout) == documents
    assert documents == load("".join(manifest(path, *ALL).stdout for path in sorted(paths)))
    names = {document["metadata"]["name"] for document in documents}
    assert names == {f"check-{number}" for number in range(20)}
    for check in documents[1::2]:
        validate(check)
        assert_restricted(pod_spec(check))


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("web.sh", "web"),
        ("web_shop.sh", "web-shop"),
        ("Web_Shop.PY", "web-shop"),
        ("web", "web"),
        ("web-2.test", "web-2"),
        (f"{'x' * 63}.sh", "x" * 63),
    ],
)
def test_a_check_is_named_by_its_script(lay: Lay, file: str, name: str) -> None:
    assert list(checks(*lay({file: SH}), *ALL)) == [name]


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (f"{'x' * 64}.sh", "the file's name makes no name for a check"),
        ("a.b.sh", "the file's name makes no name for a check"),
        ("_web.sh", "the file's name makes no name for a check"),
        ("prüfung.sh", "the file's name makes no name for a check"),
        ("a b.sh", "give one by --name, or by a line '# khshim: name=…' in the script"),
        (b"\xff.sh", "the file's name makes no name for a check"),
    ],
)
def test_a_file_name_that_is_no_name(lay: Lay, file: str | bytes, sentence: str) -> None:
    result = manifest(*lay({os.fsdecode(file): SH}), *ALL)
    assert result.returncode == 1
    assert sentence in result.stderr and result.stderr.count("\n") == 1


def test_what_is_a_script_of_a_folder(lay: Lay) -> None:
    lay(
        {
            "checks/b.sh": "echo\n",
            "checks/a.py": "import sys\n",
            "checks/c": "#!/usr/bin/perl\n",
            "checks/d.txt": "x\n\n# khshim: timeout=2m\n",
            "checks/README.md": "# khshim is a word\n",
            "checks/data.bin": b"\0\xff",
            "checks/.hidden.sh": "echo\n",
            "checks/below/e.sh": "echo\n",
        }
    )
    (Path("checks") / "b.sh").chmod(0o755)
    (Path("checks") / "README.md").chmod(0o755)  # as all files are where there are no modes
    result = manifest("checks", *ALL)
    names = [one["metadata"]["name"] for one in load(result.stdout)[::2]]
    assert names == ["a", "b", "c", "d"]
    assert result.stderr.count("\n") == 1
    assert "note that checks/README.md, checks/data.bin are no script" in result.stderr


def test_what_scripts_source_is_no_check(lay: Lay) -> None:
    """Neither what a header names nor what the command line does, though it looks like a script."""
    lay(
        {
            "checks/web.sh": "# khshim: file=lib.sh file=../data.json\n. ./lib.sh\n",
            "checks/lib.sh": "",
            "checks/more.sh": SH,
            "data.json": "{}",
        }
    )
    result = manifest("checks", "--file", "checks/more.sh", *ALL)
    assert (result.returncode, result.stderr) == (0, "")
    config_map, _ = load(result.stdout)
    assert sorted(config_map["data"]) == ["data.json", "lib.sh", "more.sh", "web.sh"]
    assert list(checks("checks", "checks/more.sh", *ALL)) == ["more", "web"]


HEADER = """\
#!/bin/sh
# khshim: interval=10m timeout=2m server=v2 env=URL=http://x/?a=b memory=128Mi
# What the shop shows to its customers.
#khshim: env='TEXT=two words' label=team=shop name=shop-front secret-env=TOKEN=s/k
#	khshim:
set -eu
# khshim: -- --flag 'a b' --
"""


def test_a_script_says_what_its_check_needs(lay: Lay) -> None:
    [(name, check)] = checks(*lay({"web.sh": HEADER})).items()
    assert name == "shop-front"
    assert check["kind"] == "KuberhealthyCheck"
    assert check["spec"]["runInterval"] == "10m" and check["spec"]["timeout"] == "2m"
    assert check["spec"]["extraLabels"] == {"team": "shop"}
    assert container(check)["resources"]["limits"] == {"memory": "128Mi"}
    assert container(check)["args"] == ["/checks/web.sh", "--flag", "a b", "--"]
    assert [entry["name"] for entry in container(check)["env"]] == [
        "SHIM_CHECK_NAME", "URL", "TEXT", "TOKEN"
    ]  # fmt: skip
    assert container(check)["env"][2]["value"] == "two words"


def test_a_script_wins_over_the_command_line(lay: Lay) -> None:
    own = "interval=1m env=A=own label=a=own toleration=a cpu=1 role=pods,jobs -- own"
    lay({"a.sh": f"# khshim: {own}\n", "b.sh": SH, "c.sh": "# khshim: once secret-env=A=s/k\n"})
    found = checks(
        "a.sh", "b.sh", "c.sh", "--timeout=30s", "--interval=9m", "--env=A=all", "--env=B=all",
        "--label=a=all", "--label=b=all", "--toleration=a", "--toleration=b", "--cpu=2",
        "--role=pods,nodes.metrics.k8s.io", "--", "all", "of them",
    )  # fmt: skip
    a, b, c = found["a"], found["b"], found["c"]
    assert [one["spec"]["runInterval"] for one in (a, b, c)] == ["1m", "9m", "8760h"]
    env = [{one["name"]: one.get("value") for one in container(x)["env"][1:]} for x in (a, b, c)]
    assert env == [{"A": "own", "B": "all"}, {"A": "all", "B": "all"}, {"A": None, "B": "all"}]
    assert a["spec"]["extraLabels"] == {"a": "own", "b": "all"}
    assert [one["key"] for one in pod_spec(a)["tolerations"]] == ["b", "a"]
    assert container(a)["resources"]["requests"]["cpu"] == "1"
    assert container(a)["args"][1:] == ["own"]
    assert container(b)["args"][1:] == ["all", "of them"]
    roles = [one for one in load(manifest("a.sh", "--role=pods", "--timeout=30s").stdout)]
    assert roles[2]["rules"][0]["resources"] == ["pods"]
    assert roles[2]["rules"][1]["resources"] == ["jobs"]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("intervall=5m", "there is no intervall to be said of a check. Did you mean interval?"),
        ("see the README", "there is no see to be said of a check."),
        ("kustomize=x", "there is no kustomize to be said of a check."),
        ("help", "there is no help to be said of a check."),
        ("--interval=5m", "there is no --interval to be said of a check."),
        ("=5m", "there is no  to be said of a check."),
        ("env='A=b", "the words are quoted as in a shell, and there is no closing quotation"),
        ("env=A=\\", "the words are quoted as in a shell, and there is no escaped character"),
        ("interval=1d", "interval: 1d is not a duration to Go"),
        ("interval", "interval: expected one argument"),
        ("once=yes", "once: ignored explicit argument 'yes'"),
        ("interval=5m interval=6m", "interval is said twice"),
        ("interval=5m once", "once is said twice"),
        ("-- a\n# khshim: -- b", "-- is said twice"),
        ("env=SHIM_TIMEOUT=x", 'env: SHIM_TIMEOUT is "x"; expected a duration'),
        ("server=v4", "server: invalid choice: 'v4'"),
        ("name=Web", "name: Web: Kubernetes wants at most 63"),
        ("role=nodes", "role: nodes are in no namespace"),
    ],
)
def test_a_header_that_is_wrong(lay: Lay, line: str, sentence: str) -> None:
    number = 3 + line.count("\n")
    result = manifest(*lay({"checks/web.sh": f"{SH}\n# khshim: {line}\n"}), *ALL)
    assert result.returncode == 1
    assert f"khshim manifest: checks/web.sh, line {number}: {sentence}" in result.stderr
    assert result.stderr.count("\n") == 1 and result.stdout == ""


@pytest.mark.parametrize(
    "line", ["echo '# khshim: x'", " # khshim: x", "# khshim x", "#khshimx: x"]
)
def test_what_is_no_header(lay: Lay, line: str) -> None:
    assert list(checks(*lay({"web.sh": f"{SH}{line}\n"}), *ALL)) == ["web"]


@pytest.mark.parametrize(
    ("files", "words", "sentences"),
    [
        (
            {"checks/.x": ""},
            ["checks"],
            ["the folder checks holds no script: no file in it begins"],
        ),
        ({"checks/x.md": ""}, ["checks/"], ["the folder checks/ holds no script"]),
        (
            {"a/web.sh": SH, "b/web.py": SH},
            ["a", "b"],
            ["b/web.py: a/web.sh is the check web already: give one of them another name"],
        ),
        (
            {"a_b.sh": SH, "a-b.sh": SH},
            ["a_b.sh", "a-b.sh"],
            ["a-b.sh: a_b.sh is the check a-b already"],
        ),
        ({"a.sh": SH, "b.sh": SH}, ["a.sh", "b.sh", "--name=x"], ["--name is for one script"]),
        # All that is wrong, at once.
        (
            {
                "a.sh": "",
                "b.sh": "#!/bin/sh\r\n",
                "c.sh": "# khshim: x\n",
                "d.sh": b"\xff",
                "e.sh": SH,
            },
            ["."],
            [
                "a.sh is empty",
                "b.sh has Windows line endings",
                "c.sh, line 1: there is no x",
                "d.sh is not text",
            ],
        ),
        (
            {"a.sh": SH},
            ["a.sh", "--timeout=10m"],
            ["a.sh: --interval 5m is shorter than --timeout"],
        ),
    ],
)
def test_scripts_that_cannot_be_checks(
    lay: Lay, files: dict[str, str | bytes], words: list[str], sentences: list[str]
) -> None:
    lay(files)
    result = manifest(*ALL, *words)
    assert result.returncode == 1 and result.stdout == ""
    lines = result.stderr.removesuffix("\n").split("\n")
    assert len(lines) == len(sentences)
    for line, sentence in zip(lines, sentences):
        assert line.startswith(f"khshim manifest: {sentence}")


def test_a_folder_of_one_name_in_several_namespaces(lay: Lay) -> None:
    files = {f"{shop}/web.sh": f"# khshim: namespace={shop}\n" for shop in ("north", "south")}
    documents = load(manifest(*lay(files), *ALL).stdout)
    namespaces = [document["metadata"]["namespace"] for document in documents]
    assert namespaces == ["north", "north", "south", "south"]


@pytest.mark.parametrize("make", ["fifo", "dangling", "folder"])
def test_what_can_not_be_read(lay: Lay, make: str) -> None:
    lay({"checks/a.sh": SH})
    path = Path("checks/x.sh")
    if make == "fifo":
        os.mkfifo(path)
        sentence = "checks/x.sh is not a regular file"
    elif make == "dangling":
        path.symlink_to("/no/such")
        sentence = "checks/x.sh cannot be read: No such file or directory"
    else:
        path.mkdir()
        assert list(checks("checks", *ALL)) == ["a"]
        return
    result = manifest("checks", *ALL)
    assert (result.returncode, result.stderr) == (1, f"khshim manifest: {sentence}\n")


def test_a_script_that_may_not_be_read(lay: Lay) -> None:
    [path] = lay({"a.sh": SH})
    Path(path).chmod(0)
    Path().chmod(0o755)
    user = os.geteuid()
    os.seteuid(user or 65534)  # root may read everything
    try:
        result = manifest(path, *ALL)
    finally:
        os.seteuid(user)
    assert result.stderr == "khshim manifest: a.sh cannot be read: Permission denied\n"


def test_notes_are_told_once(lay: Lay) -> None:
    lay({name: SH for name in ("a.sh", "b.sh", "c.sh")})
    lay({"d.sh": "# khshim: env=SHIM_TIMOUT=5s\n"})
    result = manifest(".", "--interval=5m", "--timeout=1m")
    image, unknown = result.stderr.removesuffix("\n").split("\n")
    assert image.startswith("khshim manifest: note that the image khshim:")
    assert unknown.startswith("khshim manifest: note that of d: SHIM_TIMOUT is no setting")

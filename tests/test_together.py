"""`khshim manifest --together`: one check that runs several scripts in one pod."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.khshim import Shim
from tests.support.manifests import assert_restricted, load, manifest, pod_spec, validate

pytestmark = pytest.mark.whole_run

Lay = Callable[[dict[str, str]], None]
ALL = ("--interval=5m", "--timeout=1m", "--image=registry.example/khshim:1")
SH = "#!/bin/sh\n"


@pytest.fixture
def lay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lay:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checks").mkdir()

    def write(files: dict[str, str]) -> None:
        for name, text in files.items():
            (tmp_path / "checks" / name).write_text(text)

    return write


def written(*words: str) -> list[dict[str, Any]]:
    result = manifest("checks", *words, *ALL)
    assert result.returncode == 0, result.stderr
    return load(result.stdout)


def test_one_check_of_all_scripts(lay: Lay, shim: Shim, tmp_path: Path) -> None:
    lay(
        {
            "web_shop.sh": "# khshim: env=URL=http://web file=lib.sh\n. ./lib.sh\n",
            "lib.sh": '[ "$URL$SHARED" = http://webyes ]\n',
            "Orders!.py": "raise SystemExit('row 17 is missing')\n",
            "README.md": "Read me.\n",
        }
    )
    (tmp_path / "checks" / "Orders!.py").rename(tmp_path / "checks" / "Orders_1.2.py")
    config_map, check = written("--together", "shop", "--env", "SHARED=yes")
    validate(check)
    pod = pod_spec(check)
    assert_restricted(pod)
    assert config_map["metadata"]["name"] == check["metadata"]["name"] == "shop"
    assert set(config_map["data"]) == {"web_shop.sh", "lib.sh", "Orders_1.2.py"}
    [container] = pod["containers"]
    assert container["args"] == ["/checks"]
    assert container["workingDir"] == "/checks"
    assert container["resources"]["limits"] == {"memory": "160Mi"}
    env = {variable["name"]: variable["value"] for variable in container["env"]}
    assert env == {"SHIM_CHECK_NAME": "shop", "SHARED": "yes", "URL": "http://web"}
    # What the pod would run, with the ConfigMap as the kubelet mounts it.
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    for name, text in config_map["data"].items():
        (mounted / name).write_text(text)
    result = shim.run(str(mounted), env=env, cwd=mounted)
    assert result.errors == [
        "1 of 2 scripts failed: Orders_1.2.py.",
        "Orders_1.2.py: row 17 is missing",
    ]


def test_rights_are_put_together(lay: Lay) -> None:
    lay(
        {
            "a.sh": "# khshim: role=pods env-from=secret/a\n",
            "b.sh": "# khshim: role=pods,services role=deployments env-from=secret/b\n",
        }
    )
    documents = written("--together=x", "--role=pods", "--env-from=secret/a")
    [role] = [one for one in documents if one["kind"] == "Role"]
    names = [name for rule in role["rules"] for name in rule["resources"]]
    assert names == sorted(set(names), key=names.index)
    assert {"pods", "deployments"} <= set(names)
    [container] = pod_spec(documents[-1])["containers"]
    sources = [source["secretRef"]["name"] for source in container["envFrom"]]
    assert sources == ["a", "b"]


@pytest.mark.parametrize(
    ("headers", "words", "error"),
    [
        (["", "timeout=2m"], [], "checks/b.sh is to have another timeout than checks/a.sh"),
        (["name=y", ""], [], "checks/b.sh is to have another name than checks/a.sh"),
        (["", "-- --verbose"], [], "checks/b.sh: the scripts of one pod get no arguments"),
        (["env=A=1", "env=A=2"], [], "the variable A is given twice"),
        ([""], ["--name=y"], "with --together there is neither --name nor --file"),
        ([""], ["--file=checks/a.sh"], "with --together there is neither --name nor --file"),
        (["together=y"], [], "there is no together to be said of a check"),
    ],
)
def test_what_does_not_fit_into_one_pod(
    lay: Lay, headers: list[str], words: list[str], error: str
) -> None:
    lay({f"{'ab'[n]}.sh": f"# khshim: {header}\n" for n, header in enumerate(headers)})
    result = manifest("checks", "--together=x", *words, *ALL)
    assert result.returncode == 1
    assert error in result.stderr


def test_a_folder_to_commit(lay: Lay, tmp_path: Path) -> None:
    lay({"a.sh": SH, "b.sh": SH + "exit 0\n"})
    result = manifest("checks", "--together=x", "--kustomize=deploy", *ALL)
    assert result.stdout.startswith("deploy: 1 check; ")
    [kustomization] = load((tmp_path / "deploy" / "kustomization.yaml").read_text())
    [generator] = kustomization["configMapGenerator"]
    assert [os.path.basename(file) for file in generator["files"]] == ["a.sh", "b.sh"]
    assert kustomization["resources"] == ["x.yaml"]


def test_a_script_that_the_pod_would_not_run(lay: Lay) -> None:
    """Named on the command line a file needs neither #! nor a suffix; in a folder it does."""
    lay({"a.sh": SH, "plain": "exit 1\n", ".hidden.sh": SH, "b.sh": "# khshim: file=lib.sh\n"})
    lay({"lib.sh": SH})
    for name in ("plain", ".hidden.sh"):
        result = manifest("checks/a.sh", f"checks/{name}", "--together=x", *ALL)
        assert result.returncode == 1
        assert f"checks/{name} would not be run in the pod" in result.stderr
    result = manifest("checks/b.sh", "checks/lib.sh", "--together=x", *ALL)
    assert "checks/lib.sh is a file of checks/b.sh, and so would not be run" in result.stderr


def test_no_script_is_left(lay: Lay) -> None:
    lay({"a.sh": "# khshim: file=a.sh\n"})
    result = manifest("checks/", "--together=x", *ALL)
    assert result.returncode == 1 and "no script is left" in result.stderr

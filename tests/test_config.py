from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from shim.config import Settings, script_environment
from shim.protocol import Server

README = Path(__file__).parent.parent / "README.md"
GOOD = {
    "KH_REPORTING_URL": "http://kuberhealthy.kuberhealthy.svc.cluster.local/check",
    "KH_RUN_UUID": "4a6c63f2-7f52-4d68-9d3a-6c0a2a0e3c4d",
    "KH_CHECK_RUN_DEADLINE": "1700000000",
    "KH_POD_NAMESPACE": "monitoring",
    "SHIM_SCRIPT": "/checks/check.sh",
}


def settings(**changes: str) -> Settings:
    return Settings({**GOOD, **changes})


def test_defaults() -> None:
    result = settings()
    assert result.problems == []
    assert result.script == "/checks/check.sh"
    assert result.args == []
    assert result.interpreter == []
    assert result.deadline == 1700000000
    assert result.namespace == "monitoring"
    assert result.timeout is None
    assert result.grace_period == 5
    assert result.report_reserve == 2
    assert result.errors_from == "stderr"
    assert result.ok_exit_codes == {0}
    assert result.pass_credentials is False
    assert result.log_level == "info"
    assert result.log_format == "json"
    assert result.endpoint is not None and result.endpoint.server is Server.V3


@pytest.mark.parametrize(
    ("path", "server", "reserve"),
    [
        ("/check", Server.V3, 2),
        ("/externalCheckStatus", Server.V2, 12),
        ("/prefix/externalCheckStatus", Server.V2, 12),
        ("/externalCheckStatus?x=1", Server.V2, 12),
        ("/", Server.V3, 2),
        ("", Server.V3, 2),
    ],
)
def test_the_path_tells_the_server(path: str, server: Server, reserve: float) -> None:
    result = settings(KH_REPORTING_URL=f"http://host{path}")
    assert result.endpoint is not None and result.endpoint.server is server
    assert result.report_reserve == reserve


@pytest.mark.parametrize(
    ("name", "value", "attribute", "expected"),
    [
        ("SHIM_ARGS", "-a 'b c' \"d\"", "args", ["-a", "b c", "d"]),
        ("SHIM_INTERPRETER", "bash -eu", "interpreter", ["bash", "-eu"]),
        ("SHIM_TIMEOUT", "1m30s", "timeout", 90),
        ("SHIM_TIMEOUT", "90", "timeout", 90),
        ("SHIM_GRACE_PERIOD", "0", "grace_period", 0),
        ("SHIM_REPORT_RESERVE", "500ms", "report_reserve", 0.5),
        ("SHIM_ERRORS_FROM", "BOTH", "errors_from", "both"),
        ("SHIM_OK_EXIT_CODES", "0,1", "ok_exit_codes", {0, 1}),
        ("SHIM_OK_EXIT_CODES", "3, 255", "ok_exit_codes", {3, 255}),
        ("SHIM_PASS_CREDENTIALS", "True", "pass_credentials", True),
        ("SHIM_LOG_LEVEL", "debug", "log_level", "debug"),
        ("SHIM_LOG_FORMAT", "text", "log_format", "text"),
        ("SHIM_TIMEOUT", "", "timeout", None),
        ("KH_CHECK_RUN_DEADLINE", "1700000000.5", "deadline", 1700000000.5),
        ("KH_CHECK_RUN_DEADLINE", "-1", "deadline", -1),
        (
            "KH_CHECK_RUN_DEADLINE",
            "12345678901234567890",
            "deadline",
            12345678901234567890.0,
        ),
        ("KH_CHECK_RUN_DEADLINE", "", "deadline", None),
    ],
)
def test_values(name: str, value: str, attribute: str, expected: object) -> None:
    result = settings(**{name: value})
    assert result.problems == []
    assert getattr(result, attribute) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KH_REPORTING_URL", "kuberhealthy/check"),
        ("KH_REPORTING_URL", "ftp://host/check"),
        ("KH_REPORTING_URL", "http:///check"),
        ("KH_REPORTING_URL", "http://host:port/check"),
        ("KH_REPORTING_URL", "http://host/a b"),
        ("KH_REPORTING_URL", "http://host/\r\nX: y"),
        ("KH_RUN_UUID", "a\nb"),
        ("KH_CHECK_RUN_DEADLINE", "abc"),
        ("KH_CHECK_RUN_DEADLINE", "nan"),
        ("KH_CHECK_RUN_DEADLINE", "inf"),
        ("SHIM_ARGS", "'open"),
        ("SHIM_INTERPRETER", " "),
        ("SHIM_TIMEOUT", "5 minutes"),
        ("SHIM_TIMEOUT", "0"),
        ("SHIM_TIMEOUT", "-1s"),
        ("SHIM_GRACE_PERIOD", "soon"),
        ("SHIM_REPORT_RESERVE", "1d"),
        ("SHIM_ERRORS_FROM", "stdin"),
        ("SHIM_OK_EXIT_CODES", "0,256"),
        ("SHIM_OK_EXIT_CODES", "0,,1"),
        ("SHIM_PASS_CREDENTIALS", "maybe"),
        ("SHIM_CA_FILE", "/no/such/file"),
        ("SHIM_LOG_LEVEL", "loud"),
        ("SHIM_LOG_FORMAT", "xml"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(name: str, value: str) -> None:
    [problem] = settings(**{name: value}).problems
    assert problem.startswith(f'{name} is "{value}"; expected ')


def test_every_wrong_setting_is_named_at_once() -> None:
    result = Settings({"SHIM_TIMEOUT": "x", "SHIM_GRACE_PERIOD": "y"})
    assert [problem.split()[0] for problem in result.problems] == [
        "KH_REPORTING_URL",
        "KH_RUN_UUID",
        "SHIM_SCRIPT",
        "SHIM_TIMEOUT",
        "SHIM_GRACE_PERIOD",
    ]
    assert result.endpoint is None


def test_a_long_wrong_value_comes_last() -> None:
    [problem] = settings(SHIM_TIMEOUT="x" * 5000).problems
    assert problem.startswith("SHIM_TIMEOUT is wrong; expected a duration such as")


def test_the_command_line_wins_over_the_environment() -> None:
    result = Settings({**GOOD, "SHIM_ARGS": "'open"}, ["other.sh", "a b"])
    assert (result.script, result.args) == ("other.sh", ["a b"])


def test_the_script_does_not_get_the_credentials() -> None:
    environ = script_environment(
        {**GOOD, "PATH": "/bin"}, pass_credentials=False, terminate_at=1699999990.9
    )
    assert "KH_REPORTING_URL" not in environ and "KH_RUN_UUID" not in environ
    assert environ["KH_CHECK_RUN_DEADLINE"] == "1700000000"
    assert environ["SHIM_DEADLINE"] == "1699999990"
    assert environ["PATH"] == "/bin"


def test_the_script_gets_the_credentials_when_asked_for() -> None:
    environ = script_environment(GOOD, pass_credentials=True, terminate_at=None)
    assert environ == GOOD


class Recorder(dict[str, str]):
    """An environment that remembers which variables it was asked for."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(environ)
        self.names: set[str] = set()

    def get(self, name: str, default: object = None) -> str | None:  # type: ignore[override]
        self.names.add(name)
        return super().get(name)


def test_the_readme_has_one_table_of_all_settings() -> None:
    read = Recorder(GOOD)
    Settings(read)
    rows = re.findall(r"^\| `((?:KH|SHIM)_\w+)`", README.read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(read.names)


@pytest.mark.parametrize(
    ("name", "attribute"),
    [
        ("SHIM_GRACE_PERIOD", "grace_period"),
        ("SHIM_LOG_LEVEL", "log_level"),
        ("SHIM_ERRORS_FROM", "errors_from"),
    ],
)
def test_the_readme_names_the_real_defaults(name: str, attribute: str) -> None:
    [default] = re.findall(rf"^\| `{name}` \| `([^`]*)`", README.read_text(), re.MULTILINE)
    result = settings()
    assert getattr(settings(**{name: default}), attribute) == getattr(result, attribute)

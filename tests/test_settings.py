from __future__ import annotations

import pytest

from shim.kuberhealthy import Server
from shim.settings import SETTINGS, Setting, Settings, script_environment
from tests.support.settings import GOOD


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
        ("SHIM_STOP_SIGNAL", "", "stop_signal", 15),
        ("SHIM_STOP_SIGNAL", "winch", "stop_signal", 28),
        ("SHIM_REPORT_RESERVE", "500ms", "report_reserve", 0.5),
        ("SHIM_ERRORS_FROM", "BOTH", "errors_from", "both"),
        ("SHIM_OK_EXIT_CODES", "0,1", "ok_exit_codes", {0, 1}),
        ("SHIM_OK_EXIT_CODES", "3, 255", "ok_exit_codes", {3, 255}),
        ("SHIM_WARN_EXIT_CODES", "", "warn_exit_codes", set()),
        ("SHIM_WARN_EXIT_CODES", "4", "warn_exit_codes", {4}),
        ("SHIM_ATTEMPTS", "10", "attempts", 10),
        ("SHIM_PARALLEL", "", "parallel", 4),
        ("SHIM_PARALLEL", "100", "parallel", 100),
        ("SHIM_ATTEMPT_DELAY", "0", "attempt_delay", 0),
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
        ("KH_REPORTING_URL", "http://[foo]:80/check"),
        ("KH_REPORTING_URL", "http://[::1/check"),
        ("KH_REPORTING_URL", "http://foo]/check"),
        ("KH_REPORTING_URL", "http://host/a b"),
        ("KH_REPORTING_URL", "http://host/\r\nX: y"),
        ("KH_RUN_UUID", "a\nb"),
        ("KH_CHECK_RUN_DEADLINE", "abc"),
        ("KH_CHECK_RUN_DEADLINE", "nan"),
        ("KH_CHECK_RUN_DEADLINE", "inf"),
        ("SHIM_INTERPRETER", " "),
        ("SHIM_TIMEOUT", "5 minutes"),
        ("SHIM_TIMEOUT", "0"),
        ("SHIM_TIMEOUT", "-1s"),
        ("SHIM_GRACE_PERIOD", "soon"),
        ("SHIM_REPORT_RESERVE", "1d"),
        ("SHIM_ERRORS_FROM", "stdin"),
        ("SHIM_OK_EXIT_CODES", "0,256"),
        ("SHIM_WARN_EXIT_CODES", "-1"),
        ("SHIM_ATTEMPTS", "0"),
        ("SHIM_ATTEMPTS", "11"),
        ("SHIM_ATTEMPTS", "2.0"),
        ("SHIM_PARALLEL", "0"),
        ("SHIM_PARALLEL", "101"),
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


def test_arguments_are_not_shown_since_a_password_may_be_among_them() -> None:
    [problem] = settings(SHIM_ARGS="-p 's3cret").problems
    assert problem == "SHIM_ARGS is wrong; expected words quoted as in a shell, each quote closed."


def test_every_wrong_setting_is_named_at_once() -> None:
    result = Settings({"SHIM_TIMEOUT": "x", "SHIM_GRACE_PERIOD": "y"})
    assert [problem.split()[0] for problem in result.problems] == [
        "KH_REPORTING_URL",
        "KH_RUN_UUID",
        "SHIM_TIMEOUT",
        "SHIM_GRACE_PERIOD",
        "SHIM_SCRIPT",
    ]
    assert result.endpoint is None


def test_a_long_wrong_value_comes_last() -> None:
    [problem] = settings(SHIM_TIMEOUT="x" * 5000).problems
    assert problem.startswith("SHIM_TIMEOUT is wrong; expected a duration of more than 0")


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
    assert environ == {**GOOD, "SHIM_METRICS_FILE": "/dev/null"}


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_has_a_value_that_works_and_most_one_that_is_refused(
    setting: Setting[object],
) -> None:
    right, wrong = VALUES[setting.name]
    changed = settings(**{setting.name: right})
    assert changed.problems == []
    assert getattr(changed, setting.attribute) != getattr(settings(), setting.attribute)
    if wrong is not None:
        [problem] = settings(**{setting.name: wrong}).problems
        told = f'"{wrong}"' if setting.is_shown else "wrong"
        assert problem == f"{setting.name} is {told}; expected {setting.expected}."
        assert setting.problem(wrong) == problem
    assert setting.problem(right) is None


@pytest.mark.parametrize(
    "setting",
    [
        setting
        for setting in SETTINGS
        if setting.default not in (None, "") and not callable(setting.default)
    ],
    ids=lambda setting: setting.name,
)
def test_the_default_in_the_documents_is_the_default(setting: Setting[object]) -> None:
    if setting.default_words != "off":
        assert setting.parse(setting.default_words.strip("`")) == setting.default
    else:
        assert not setting.default


# A right value other than the default, and a wrong one where there can be one.
VALUES = {
    "KH_REPORTING_URL": ("https://kuberhealthy/externalCheckStatus", "kuberhealthy"),
    "KH_RUN_UUID": ("1-2", "two words"),
    "KH_CHECK_RUN_DEADLINE": ("1700000001", "soon"),
    "KH_POD_NAMESPACE": ("shop", None),
    "SHIM_SCRIPT": ("other.sh", None),
    "SHIM_ARGS": ("a 'b c'", "'open"),
    "SHIM_INTERPRETER": ("bash -eu", "'open"),
    "SHIM_TIMEOUT": ("10s", "0"),
    "SHIM_GRACE_PERIOD": ("1s", "1d"),
    "SHIM_STOP_SIGNAL": ("SIGRTMIN+3", "SIGKILL"),
    "SHIM_REPORT_RESERVE": ("3s", "-1s"),
    "SHIM_PRESET": ("nagios", "sensu"),
    "SHIM_ERRORS_FROM": ("both", "stdin"),
    "SHIM_OK_EXIT_CODES": ("0,2", "ok"),
    "SHIM_WARN_EXIT_CODES": ("1", "warn"),
    "SHIM_ATTEMPTS": ("3", "often"),
    "SHIM_PARALLEL": ("8", "all"),
    "SHIM_ATTEMPT_DELAY": ("1s", "1d"),
    "SHIM_PASS_CREDENTIALS": ("yes", "maybe"),
    "SHIM_CA_FILE": (__file__, "/no/such/file"),
    "SHIM_MASK": ("DB_DSN", None),
    "SHIM_WAIT_FOR_SERVER": ("20s", "a while"),
    "SHIM_QUIT_URL": ("http://127.0.0.1/quit", "quit"),
    "SHIM_LOG_LEVEL": ("debug", "loud"),
    "SHIM_LOG_FORMAT": ("text", "xml"),
    "SHIM_LOG_SCRIPT": ("json", "text"),
    "SHIM_CHECK_NAME": ("web", None),
    "SHIM_TERMINATION_LOG": ("/dev/null", None),
    "SHIM_METRICS_PORT": ("9090", "0"),
    "SHIM_PUSHGATEWAY_URL": ("http://pushgateway:9091", "pushgateway"),
}


@pytest.mark.parametrize(
    ("changes", "warnings"),
    [
        ({"SHIM_PRESET": "nagios"}, {1}),
        ({"SHIM_PRESET": "nagios", "SHIM_OK_EXIT_CODES": "0"}, set()),
        ({"SHIM_PRESET": "nagios", "SHIM_WARN_EXIT_CODES": "3"}, {3}),
    ],
)
def test_the_warnings_of_a_plugin(changes: dict[str, str], warnings: set[int]) -> None:
    assert settings(**changes).warn_exit_codes == warnings


@pytest.mark.parametrize(
    ("name", "unknown"),
    [
        ("SHIM_TIMOUT", True),
        ("SHIM_ERROR_FROM", True),
        ("SHIM_X", True),
        ("shim_timeout", False),
        ("SHIMTIMEOUT", False),
        # For the script, and so for a khshim in it.
        ("SHIM_DEADLINE", False),
        ("SHIM_METRICS_FILE", False),
        # What Kubernetes sets for a Service named shim, or shim-web.
        ("SHIM_SERVICE_HOST", False),
        ("SHIM_SERVICE_PORT", False),
        ("SHIM_SERVICE_PORT_HTTP", False),
        ("SHIM_PORT", False),
        ("SHIM_PORT_80_TCP", False),
        ("SHIM_PORT_80_TCP_ADDR", False),
        ("SHIM_WEB_PORT_80_TCP_PROTO", False),
        ("SHIM_METRIC_PORTS", True),
        ("SHIM_PORT_METRICS", True),
    ],
)
def test_a_name_that_is_no_setting(name: str, unknown: bool) -> None:
    result = settings(**{name: "1"})
    assert result.unknown == ([name] if unknown else [])
    assert result.problems == []


def test_arguments_that_the_command_line_replaces() -> None:
    assert settings(SHIM_ARGS="a").warnings == []
    [warning] = Settings({**GOOD, "SHIM_ARGS": "a"}, ["x.sh"]).warnings
    assert warning.startswith("SHIM_ARGS is ignored")


@pytest.mark.parametrize(
    ("deadline", "warnings"), [("1790000000", 0), ("100000000000", 0), ("1790000000000", 1)]
)
def test_a_deadline_in_milliseconds(deadline: str, warnings: int) -> None:
    result = settings(KH_CHECK_RUN_DEADLINE=deadline)
    assert ["milliseconds" in warning for warning in result.warnings] == [True] * warnings

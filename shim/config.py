"""Settings from the environment and the command line: the one place that knows their names."""

import os
import stat

from shim import durations
from shim.protocol import REPORT_RESERVE, Endpoint, server_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeVar

    T = TypeVar("T")

ERROR_SOURCES = ("stderr", "stdout", "both")
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("json", "text")
SCRIPT_LOGS = ("raw", "json")
PRESETS = ("none", "nagios")
BOOLEANS = {
    "true": True,
    "1": True,
    "yes": True,
    "false": False,
    "0": False,
    "no": False,
}

URL = "an http:// or https:// URL"
DURATION = "a duration such as 90s, 2m or 1m30s"
SHELL_WORDS = "words quoted as in a shell"


class Reader:
    """Reads variables and collects a sentence for each value that is wrong.

    An empty variable counts as one that is not set, since a manifest cannot unset
    what an image has set.
    """

    def __init__(self, environ: "Mapping[str, str]") -> None:
        self.environ = environ
        self.problems: list[str] = []

    def text(self, name: str) -> "str | None":
        return self.environ.get(name) or None

    def parsed(self, name: str, parse: "Callable[[str], T]", default: "T", expected: str) -> "T":
        """Return `parse(value)`; a ValueError from it becomes a problem."""
        value = self.text(name)
        if value is None:
            return default
        try:
            return parse(value)
        except ValueError:
            self.wrong(name, value, expected)
            return default

    def required(self, name: str, is_good: "Callable[[str], bool]", expected: str) -> "str | None":
        value = self.text(name)
        if value is None:
            self.problems.append(f"{name} is not set; expected {expected}.")
        elif not is_good(value):
            self.wrong(name, value, expected)
        else:
            return value
        return None

    def wrong(self, name: str, value: str, expected: str) -> None:
        # Never cut here: half of a secret in it could not be masked any more.
        if len(value) <= 80:
            self.problems.append(f'{name} is "{value}"; expected {expected}.')
        else:
            self.problems.append(f'{name} is wrong; expected {expected}. It is "{value}"')


class Settings:
    """Everything one run depends on; times in seconds, the deadline in unix time.

    `problems` holds a sentence for each wrong setting; where it is not empty the
    other fields hold defaults and the script must not be started. `endpoint` is
    None where no report can be sent.
    """

    def __init__(self, environ: "Mapping[str, str]", command: "Sequence[str]" = ()) -> None:
        read = Reader(environ)

        url = read.required("KH_REPORTING_URL", _is_url, URL)
        run_uuid = read.required(
            "KH_RUN_UUID", _is_token, "the run's uuid, as Kuberhealthy sets it"
        )
        self.deadline = read.parsed(
            "KH_CHECK_RUN_DEADLINE",
            _finite,
            None,
            "unix seconds, as Kuberhealthy sets them",
        )
        self.namespace = read.text("KH_POD_NAMESPACE")

        script = read.text("SHIM_SCRIPT")
        args = read.parsed("SHIM_ARGS", _shell_words, list[str](), SHELL_WORDS)
        if command:
            script, args = command[0], list(command[1:])
        if not script:
            read.problems.append("SHIM_SCRIPT is not set; expected the path of the script to run.")
        self.script = script or ""
        self.args = args
        self.interpreter = read.parsed(
            "SHIM_INTERPRETER", _command, list[str](), "a command such as bash -eu"
        )
        self.timeout = read.parsed("SHIM_TIMEOUT", _positive_duration, None, DURATION)
        self.grace_period = read.parsed("SHIM_GRACE_PERIOD", durations.parse, 5.0, DURATION)
        self.report_reserve = read.parsed(
            "SHIM_REPORT_RESERVE",
            durations.parse,
            REPORT_RESERVE[server_of(url or "")],
            DURATION,
        )
        self.preset = read.parsed("SHIM_PRESET", _one_of(PRESETS), "none", _list(PRESETS))
        nagios = self.preset == "nagios"
        self.errors_from = read.parsed(
            "SHIM_ERRORS_FROM",
            _one_of(ERROR_SOURCES),
            "stdout" if nagios else "stderr",
            _list(ERROR_SOURCES),
        )
        self.ok_exit_codes = read.parsed(
            "SHIM_OK_EXIT_CODES",
            _exit_codes,
            frozenset({0, 1} if nagios else {0}),
            "exit codes from 0 to 255 such as 0,1",
        )
        self.pass_credentials = read.parsed(
            "SHIM_PASS_CREDENTIALS", _boolean, False, "true or false"
        )
        ca_file = read.parsed("SHIM_CA_FILE", _readable, None, "a PEM file this user can read")
        self.mask = _names(read.text("SHIM_MASK") or "")
        self.wait_for_server = read.parsed("SHIM_WAIT_FOR_SERVER", durations.parse, 0.0, DURATION)
        self.quit_url = read.parsed("SHIM_QUIT_URL", _url, None, URL)
        self.log_level = read.parsed(
            "SHIM_LOG_LEVEL", _one_of(LOG_LEVELS), "info", _list(LOG_LEVELS)
        )
        self.log_format = read.parsed(
            "SHIM_LOG_FORMAT", _one_of(LOG_FORMATS), "json", _list(LOG_FORMATS)
        )
        self.log_script = read.parsed(
            "SHIM_LOG_SCRIPT", _one_of(SCRIPT_LOGS), "raw", _list(SCRIPT_LOGS)
        )
        self.check_name = read.text("SHIM_CHECK_NAME")
        self.termination_log = read.text("SHIM_TERMINATION_LOG") or "/dev/termination-log"
        self.metrics_port = read.parsed("SHIM_METRICS_PORT", _port, None, "a port from 1 to 65535")
        self.pushgateway_url = read.parsed("SHIM_PUSHGATEWAY_URL", _url, None, URL)
        self.endpoint = Endpoint(url, run_uuid, ca_file) if url and run_uuid else None
        self.problems = read.problems


def script_environment(
    environ: "Mapping[str, str]",
    *,
    pass_credentials: bool,
    terminate_at: "float | None",
    metrics_file: "str | None" = None,
) -> "dict[str, str]":
    """Return the environment the script gets.

    The credentials of the run stay with khshim, so that a script that reports by
    itself cannot report twice. `terminate_at` is the unix time of the script's
    SIGTERM; it is rounded down, since shells count in whole seconds.
    """
    result = dict(environ)
    if not pass_credentials:
        result.pop("KH_REPORTING_URL", None)
        result.pop("KH_RUN_UUID", None)
    if terminate_at is not None:
        result["SHIM_DEADLINE"] = str(int(terminate_at))
    if metrics_file is not None:
        result["SHIM_METRICS_FILE"] = metrics_file
    return result


def _is_url(value: str) -> bool:
    scheme, separator, rest = value.partition("://")
    host = rest.partition("/")[0].rpartition("@")[2]
    port = host.rpartition("]")[2].partition(":")[2]
    return (
        separator != ""
        and scheme.lower() in ("http", "https")
        and host.partition(":")[0] != ""
        and host.startswith("[") == ("[" in host) == ("]" in host)
        and (port == "" or (port.isdecimal() and int(port) < 65536))
        and _is_token(value)
    )


def _url(value: str) -> str:
    if not _is_url(value):
        raise ValueError(value)
    return value


def _port(value: str) -> int:
    port = int(value)
    if not 0 < port < 65536:
        raise ValueError(value)
    return port


def _is_token(value: str) -> bool:
    """Tell whether `value` can go into an HTTP request as it is."""
    return value.isascii() and value.isprintable() and " " not in value


def _finite(value: str) -> float:
    number = float(value)
    if number - number != 0:  # inf and nan
        raise ValueError(value)
    return number


def _positive_duration(value: str) -> float:
    seconds = durations.parse(value)
    if seconds <= 0:
        raise ValueError(value)
    return seconds


def _shell_words(value: str) -> "list[str]":
    import shlex  # only here: it costs every start 2 ms, and few runs need it

    return shlex.split(value)


def _command(value: str) -> "list[str]":
    words = _shell_words(value)
    if not words:
        raise ValueError(value)
    return words


def _names(value: str) -> "list[str]":
    # A comma too many must not turn off the masking of the rest.
    return [name.strip() for name in value.split(",") if name.strip()]


def _one_of(choices: "Sequence[str]") -> "Callable[[str], str]":
    def parse(value: str) -> str:
        if value.lower() not in choices:
            raise ValueError(value)
        return value.lower()

    return parse


def _list(choices: "Sequence[str]") -> str:
    return f"{', '.join(choices[:-1])} or {choices[-1]}"


def _boolean(value: str) -> bool:
    try:
        return BOOLEANS[value.lower()]
    except KeyError:
        raise ValueError(value) from None


def _exit_codes(value: str) -> "frozenset[int]":
    codes = frozenset(int(code) for code in value.split(","))
    if not codes <= frozenset(range(256)):
        raise ValueError(value)
    return codes


def _readable(value: str) -> str:
    try:
        fd = os.open(value, os.O_RDONLY | os.O_NONBLOCK)  # a FIFO would wait for its writer
    except OSError:
        raise ValueError(value) from None
    is_file = stat.S_ISREG(os.fstat(fd).st_mode)
    os.close(fd)
    if not is_file:
        raise ValueError(value)
    return value

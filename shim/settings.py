"""Settings from the environment and the command line; no other module knows their names.

Each setting is declared once, as an attribute of Settings. The table in docs/SETTINGS.md,
`khshim run --help`, and the checks of `khshim doctor` and `khshim manifest` are made from
the declarations.
"""

import os
import signal

from shim import durations, signals, values
from shim.budget import Budget
from shim.kuberhealthy import LEAST_RESERVE, REPORT_RESERVE, Endpoint, Server, server_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Generic, TypeVar

    T = TypeVar("T")

    class Typed(Generic[T]):
        """What makes Setting generic for the type checker."""

else:
    Typed = {"T": object}  # importing `typing` would cost every start 2 ms
    T = "T"

ERROR_SOURCES = ("stderr", "stdout", "both")
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("json", "text")
SCRIPT_LOGS = ("raw", "json")
PRESETS = ("none", "nagios")
MOST_ATTEMPTS = 10
MOST_AT_ONCE = 100
URL = "an http:// or https:// URL"
DURATION = "a duration such as 90s, 2m or 1m30s"
BY_KUBERHEALTHY = "by Kuberhealthy"

# khshim sets these for the script, so they are also set where a script runs khshim.
FOR_THE_SCRIPT = frozenset({"SHIM_DEADLINE", "SHIM_METRICS_FILE"})
# A later deadline (the year 5138) was most probably written in milliseconds.
LAST_PLAUSIBLE_DEADLINE = 1e11


class Setting(Typed[T]):
    """One setting: the variable's name, its parser, its default and its documentation.

    `parse` raises ValueError for a wrong text; `expected` completes the sentence
    "expected …". `default` is a value, or a function that computes one from the settings
    declared before this one; without it the value is None, and `parse` must be wrapped in
    `optional`. The documents show the default as `default_words`; `meaning` is one line of
    Markdown. An error message quotes the wrong value unless `is_shown` is false, for a
    value that may hold a password.
    """

    def __init__(
        self,
        name: str,
        parse: "Callable[[str], T]",
        expected: str,
        meaning: str,
        default: "T | Callable[[Settings], T] | None" = None,
        default_words: str = "–",
        required: bool = False,
        is_shown: bool = True,
    ) -> None:
        self.name = name
        self.parse = parse
        self.expected = expected
        self.meaning = meaning
        self.default = default
        self.default_words = default_words
        self.required = required
        self.is_shown = is_shown

    def __set_name__(self, owner: type, attribute: str) -> None:
        self.attribute = attribute

    def __get__(self, settings: "Settings", owner: "type | None" = None) -> "T":
        value: T = vars(settings)[self.attribute]
        return value

    def problem(self, text: str) -> "str | None":
        """Return a sentence that says what is wrong with the value `text`, None if it is right."""
        try:
            self.parse(text)
        except ValueError:
            return self._wrong(text)
        return None

    def read(self, text: str, settings: "Settings") -> "T | None":
        """Return the value of `text`, or the default if `text` is empty or wrong.

        An empty variable counts as not set, since a manifest cannot unset a variable of the
        image. For a wrong value a sentence is added to `settings.problems`.
        """
        if text:
            try:
                return self.parse(text)
            except ValueError:
                settings.problems.append(self._wrong(text))
        elif self.required:
            settings.problems.append(f"{self.name} is not set; expected {self.expected}.")
        return self.default(settings) if callable(self.default) else self.default

    def _wrong(self, text: str) -> str:
        if not self.is_shown:
            return f"{self.name} is wrong; expected {self.expected}."
        # The text must not be cut here: half of a secret in it could not be masked later.
        if len(text) <= 80:
            return f'{self.name} is "{text}"; expected {self.expected}.'
        return f'{self.name} is wrong; expected {self.expected}. It is "{text}"'


class Settings:
    """Everything one run depends on; times in seconds, the deadline in unix time.

    `problems` holds a sentence for each wrong setting. If it is not empty, those settings
    have their defaults and the script must not be started. `unknown` holds the names that
    begin with SHIM_ and are no setting; `warnings` holds sentences about settings that are
    probably a mistake. `endpoint` is None if no report can be sent.
    """

    reporting_url = Setting(
        "KH_REPORTING_URL",
        values.optional(values.url),
        URL,
        "where the report goes; the path tells v2 (`/externalCheckStatus`) from v3",
        default_words=BY_KUBERHEALTHY,
        required=True,
    )
    run_uuid = Setting(
        "KH_RUN_UUID",
        values.optional(values.token),
        "the run's uuid, as Kuberhealthy sets it",
        "the run's token",
        default_words=BY_KUBERHEALTHY,
        required=True,
    )
    deadline = Setting(
        "KH_CHECK_RUN_DEADLINE",
        values.optional(values.finite),
        "unix seconds, as Kuberhealthy sets them",
        "unix seconds; without it there is no deadline, and 30 s for the delivery",
        default_words=BY_KUBERHEALTHY,
    )
    namespace = Setting(
        "KH_POD_NAMESPACE",
        values.optional(values.text),
        "the pod's namespace",
        "shown in the log",
        default_words=BY_KUBERHEALTHY,
    )
    script = Setting(
        "SHIM_SCRIPT",
        values.text,
        "the path of the script to run",
        "the script: a path, or a name in the working directory, in `/checks` or among the"
        " bundled [scripts](../scripts); or a folder, whose scripts all run"
        " ([Many scripts in one pod](FOLDER.md))",
        default="",
    )
    args = Setting(
        "SHIM_ARGS",
        values.shell_words,
        "words quoted as in a shell, each quote closed",
        "the script's arguments, quoted as in a shell",
        default=lambda settings: [],
        is_shown=False,
    )
    interpreter = Setting(
        "SHIM_INTERPRETER",
        values.command,
        "a command such as bash -eu",
        "the command that runs the script, e.g. `bash -eu`",
        default=lambda settings: [],
        default_words="from the script",
    )
    timeout = Setting(
        "SHIM_TIMEOUT",
        values.optional(values.positive_duration),
        "a duration of more than 0, such as 90s, 2m or 1m30s",
        "a time limit in addition to the check's deadline, for all attempts together; in a folder"
        " for each attempt of each script",
    )
    grace_period = Setting(
        "SHIM_GRACE_PERIOD",
        durations.parse,
        DURATION,
        "how long the script may go on after SIGTERM, before SIGKILL",
        default=5.0,
        default_words="`5s`",
    )
    stop_signal = Setting(
        "SHIM_STOP_SIGNAL",
        signals.parse,
        "a signal that can be forwarded, such as SIGINT, SIGRTMIN+3 or 10",
        "the signal that the script gets in place of SIGTERM ([What the script gets](SCRIPTS.md))",
        default=int(signal.SIGTERM),
        default_words="`SIGTERM`",
    )
    report_reserve = Setting(
        "SHIM_REPORT_RESERVE",
        durations.parse,
        DURATION,
        "time kept free before the deadline to deliver the report; v2 overwrites a report that"
        ' comes in about the last 6 s with "timed out", and the rest is a margin',
        default=lambda settings: REPORT_RESERVE[settings.server],
        default_words="`2s`, on v2 `12s`",
    )
    preset = Setting(
        "SHIM_PRESET",
        values.one_of(PRESETS),
        values.choices_in_words(PRESETS),
        "`nagios`: errors from stdout, and exit codes 0 and 1 pass, unless set otherwise",
        default="none",
        default_words="`none`",
    )
    errors_from = Setting(
        "SHIM_ERRORS_FROM",
        values.one_of(ERROR_SOURCES),
        values.choices_in_words(ERROR_SOURCES),
        "the stream whose lines become the errors: `stderr`, `stdout` or `both`",
        default=lambda settings: "stdout" if settings.is_plugin else "stderr",
        default_words="`stderr`",
    )
    ok_exit_codes = Setting(
        "SHIM_OK_EXIT_CODES",
        values.exit_codes,
        "exit codes from 0 to 255 such as 0,1",
        "exit statuses that pass, e.g. `0,1`",
        default=lambda settings: frozenset({0, 1} if settings.is_plugin else {0}),
        default_words="`0`",
    )
    warn_exit_codes = Setting(
        "SHIM_WARN_EXIT_CODES",
        values.exit_codes,
        "exit codes from 0 to 255 such as 1 or 1,4",
        "exit statuses that pass with a warning, which is in the log and the metrics; 1 under the"
        " preset `nagios`",
        default=lambda settings: _warnings_of_plugins(settings),
    )
    attempts = Setting(
        "SHIM_ATTEMPTS",
        values.whole_number(1, MOST_ATTEMPTS),
        f"a whole number from 1 to {MOST_ATTEMPTS}",
        "how many times a script that fails is run, as long as there is time; it passes if one"
        " attempt does",
        default=1,
        default_words="`1`",
    )
    attempt_delay = Setting(
        "SHIM_ATTEMPT_DELAY",
        durations.parse,
        DURATION,
        "how long to wait between two attempts",
        default=5.0,
        default_words="`5s`",
    )
    parallel = Setting(
        "SHIM_PARALLEL",
        values.whole_number(1, MOST_AT_ONCE),
        f"a whole number from 1 to {MOST_AT_ONCE}",
        "how many scripts of a folder run at a time ([Many scripts in one pod](FOLDER.md))",
        default=4,
        default_words="`4`",
    )
    pass_credentials = Setting(
        "SHIM_PASS_CREDENTIALS",
        values.boolean,
        "true or false",
        "hand `KH_REPORTING_URL` and `KH_RUN_UUID` to the script as well",
        default=False,
        default_words="`false`",
    )
    ca_file = Setting(
        "SHIM_CA_FILE",
        values.optional(values.readable_file),
        "a PEM file this user can read",
        "authorities to trust (PEM) for an `https` reporting URL",
        default_words="the system's",
    )
    mask = Setting(
        "SHIM_MASK",
        values.names,
        "names of variables, separated by commas",
        "more variables whose values are masked as secrets, e.g. `DB_DSN,*_URL`"
        " ([Secrets](SECRETS.md))",
        default=lambda settings: [],
    )
    wait_for_server = Setting(
        "SHIM_WAIT_FOR_SERVER",
        durations.parse,
        DURATION,
        "how long to wait, at most, for Kuberhealthy to be reachable before the script is started"
        " ([Fresh nodes](MESHES.md))",
        default=0.0,
        default_words="off",
    )
    quit_url = Setting(
        "SHIM_QUIT_URL",
        values.optional(values.url),
        URL,
        "POSTed once at the end, to end a service mesh's sidecar",
    )
    log_level = Setting(
        "SHIM_LOG_LEVEL",
        values.one_of(LOG_LEVELS),
        values.choices_in_words(LOG_LEVELS),
        "`debug`, `info`, `warning` or `error`",
        default="info",
        default_words="`info`",
    )
    log_format = Setting(
        "SHIM_LOG_FORMAT",
        values.one_of(LOG_FORMATS),
        values.choices_in_words(LOG_FORMATS),
        "`json`, or `text` for people",
        default="json",
        default_words="`json`",
    )
    log_script = Setting(
        "SHIM_LOG_SCRIPT",
        values.one_of(SCRIPT_LOGS),
        values.choices_in_words(SCRIPT_LOGS),
        "`raw` passes the script's output on byte for byte, `json` makes each line a JSON object",
        default="raw",
        default_words="`raw`",
    )
    check_name = Setting(
        "SHIM_CHECK_NAME",
        values.optional(values.text),
        "the check's name",
        "the check's name, for the log and the metrics (`khshim manifest` sets it); the metrics"
        " fall back to the script's file name",
    )
    termination_log = Setting(
        "SHIM_TERMINATION_LOG",
        values.text,
        "a path",
        "the file for a summary that `kubectl describe pod` shows; nothing is written if the file"
        " does not exist",
        default="/dev/termination-log",
        default_words="`/dev/termination-log`",
    )
    metrics_port = Setting(
        "SHIM_METRICS_PORT",
        values.optional(values.whole_number(1, 65535)),
        "a port from 1 to 65535",
        "the port that serves the metrics while the script runs ([Metrics](METRICS.md))",
    )
    pushgateway_url = Setting(
        "SHIM_PUSHGATEWAY_URL",
        values.optional(values.url),
        URL,
        "the Pushgateway that gets the metrics after the report ([Metrics](METRICS.md))",
    )

    def __init__(self, environ: "Mapping[str, str]", command: "Sequence[str]" = ()) -> None:
        self.problems: list[str] = []
        self.warnings: list[str] = []
        for setting in SETTINGS:
            vars(self)[setting.attribute] = setting.read(environ.get(setting.name, ""), self)
        self.unknown = sorted(filter(_is_unknown, environ))
        if command:
            if self.args:
                self.warnings.append(
                    "SHIM_ARGS is ignored, since the command line names the script: put the"
                    " arguments behind it there."
                )
            vars(self).update(script=command[0], args=list(command[1:]))
        elif not self.script:
            self.problems.append("SHIM_SCRIPT is not set; expected the path of the script to run.")
        if self.deadline is not None and self.deadline > LAST_PLAUSIBLE_DEADLINE:
            self.warnings.append(
                "KH_CHECK_RUN_DEADLINE is later than the year 5000, so the script runs without a"
                " deadline in effect: was it written in milliseconds?"
            )

    @property
    def is_plugin(self) -> bool:
        """Whether the script is a Nagios plugin, with the exit statuses 0 to 3 of those."""
        return self.preset == "nagios"

    @property
    def endpoint(self) -> "Endpoint | None":
        """Where the report goes; None if the URL or the run's uuid is missing or wrong."""
        if self.reporting_url is None or self.run_uuid is None:
            return None
        return Endpoint(self.reporting_url, self.run_uuid, self.ca_file)

    @property
    def server(self) -> Server:
        """The server's release line, by the reporting URL; v3 if that is missing."""
        return server_of(self.reporting_url or "")

    def budget(self, *, unix_now: float, started_at: float) -> Budget:
        """Divide the time until the deadline; both arguments are the same moment.

        `unix_now` is in seconds of unix time, `started_at` in seconds on the monotonic clock.
        """
        return Budget(
            started_at=started_at,
            left=None if self.deadline is None else self.deadline - unix_now,
            grace_period=self.grace_period,
            reserve=self.report_reserve,
            least_reserve=LEAST_RESERVE[self.server],
            timeout=self.timeout,
        )


def _warnings_of_plugins(settings: Settings) -> "frozenset[int]":
    """Return Nagios' WARNING (1) for a plugin, unless SHIM_OK_EXIT_CODES leaves it out."""
    return settings.ok_exit_codes & {1} if settings.is_plugin else frozenset()


SETTINGS = tuple(value for value in vars(Settings).values() if isinstance(value, Setting))
NAMES = frozenset(setting.name for setting in SETTINGS)


def _is_unknown(name: str) -> bool:
    """Tell whether `name` looks like a setting of khshim but is none.

    A Service named shim or shim-… makes Kubernetes set SHIM_SERVICE_HOST, SHIM_PORT,
    SHIM_PORT_80_TCP_ADDR and others (Kubernetes, "Discovering services").
    """
    if not name.startswith("SHIM_") or name in NAMES or name in FOR_THE_SCRIPT:
        return False
    words = name.split("_")
    is_port = "PORT" in words and (words[-1] == "PORT" or words[words.index("PORT") + 1].isdigit())
    return not is_port and "SERVICE" not in words


def script_environment(
    environ: "Mapping[str, str]",
    *,
    pass_credentials: bool,
    terminate_at: "float | None",
    metrics_file: "str | None" = None,
) -> "dict[str, str]":
    """Return the environment of the script.

    It has no credentials of the run unless `pass_credentials` is true, since a script that
    reports by itself would make a second report. SHIM_DEADLINE is `terminate_at`, the unix
    time of the script's SIGTERM, rounded down, since shells count in whole seconds.
    SHIM_METRICS_FILE is always set, so that a script may write to it unconditionally.
    """
    result = dict(environ)
    if not pass_credentials:
        result.pop("KH_REPORTING_URL", None)
        result.pop("KH_RUN_UUID", None)
    if terminate_at is not None:
        result["SHIM_DEADLINE"] = str(int(terminate_at))
    result["SHIM_METRICS_FILE"] = metrics_file or os.devnull
    return result

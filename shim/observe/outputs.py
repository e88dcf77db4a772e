"""khshim's own stdout and stderr: what the script's output goes on to, beside khshim's log."""

from __future__ import annotations

import os
from collections.abc import Callable

from shim.observe.events import Subscriber
from shim.observe.log import open_log
from shim.observe.script_log import ScriptLines
from shim.settings import Settings
from shim.supervise.sink import Output, Sink

# Seconds that a slow reader gets at the very end.
LAST_DRAIN = 1.0


class Outputs:
    """The two descriptors. `log` writes khshim's events to stderr.

    `for_stdout` and `for_stderr` take the script's bytes: the sinks of the two
    descriptors, or what makes lines of JSON before them (SHIM_LOG_SCRIPT), with the fields
    `of_script`. `sink` makes a Sink of a descriptor.
    """

    def __init__(
        self, settings: Settings, sink: Callable[[int], Sink] = Sink, **of_script: object
    ) -> None:
        stdout, stderr = sink(1), sink(2)
        common: dict[str, object] = {
            "check": settings.check_name,
            "namespace": settings.namespace,
            "run_uuid": settings.run_uuid,
        }
        self.log: Subscriber = open_log(
            stderr,
            level=settings.log_level,
            style=settings.log_format,
            colour=os.isatty(2),
            **common,
        )
        self.for_stdout: Output = stdout
        self.for_stderr: Output = stderr
        if settings.log_script == "json":
            self.for_stdout = ScriptLines(stdout, "stdout", {**common, **of_script})
            self.for_stderr = ScriptLines(stderr, "stderr", {**common, **of_script})

    def script_has_ended(self) -> None:
        """Write a last line of the script's that has no newline."""
        self.for_stdout.close()
        self.for_stderr.close()

    def drain(self) -> None:
        """Give a slow reader a last chance."""
        self.for_stdout.drain(LAST_DRAIN)
        self.for_stderr.drain(LAST_DRAIN)

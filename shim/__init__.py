"""khshim: turns any script into a Kuberhealthy check.

For checks written in Python the package is also a small client::

    from shim import deadline, report_failure, report_success

The names are loaded on first use: `import shim` alone loads no HTTP client, so
that the command can start its script before anything slow is imported.
"""

__version__ = "0.1.0"
__all__ = ["ReportError", "deadline", "report_failure", "report_success"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from shim.client import ReportError, deadline, report_failure, report_success


def __getattr__(name: str) -> object:
    if name in __all__:
        from shim import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

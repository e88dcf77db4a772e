"""The one format of times in khshim's output."""

from __future__ import annotations

from datetime import datetime, timezone


def rfc3339(unix_time: float) -> str:
    """Return seconds of unix time as RFC 3339 in UTC with milliseconds."""
    moment = datetime.fromtimestamp(unix_time, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

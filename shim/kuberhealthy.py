"""The differences between Kuberhealthy v2 and v3 that matter to a client."""

from enum import Enum


class Server(Enum):
    """A release line. v2's resource is `khcheck`, v3's is `HealthCheck`."""

    V2 = "v2"
    V3 = "v3"


DEFAULT_PORTS = {"http": 80, "https": 443}

PATHS = {Server.V2: "/externalCheckStatus", Server.V3: "/check"}

# Seconds kept free before the deadline. By the deadline v2 must have seen the report and the
# pod's end; it polls for each every 5 s, and may be slow. v3 accepts a report until the deadline.
REPORT_RESERVE = {Server.V2: 12.0, Server.V3: 2.0}

# The minimum to which the reserve shrinks if time is short, in seconds. Measured on v2:
# reports up to 5.4 s before the deadline were overwritten (one poll and the pod's end).
LEAST_RESERVE = {Server.V2: 7.0, Server.V3: 0.0}

# Seconds that a pod which is being deleted must stay after its report. v2 polls for reports
# every 5 s, and writes "pod deleted unexpectedly" if it sees the pod end before the report;
# v3 does not watch the pod.
SEEN_AFTER = {Server.V2: 6.0, Server.V3: 0.0}

# Seconds that a healthy server may take to answer: v2 first looks for the pod for up to 60 s.
ANSWER_TIMEOUT = {Server.V2: 65.0, Server.V3: 15.0}


def server_of(url: str) -> Server:
    """Return the release line that a reporting URL belongs to, by its path."""
    path = url.partition("?")[0].rstrip("/")
    return Server.V2 if path.endswith(PATHS[Server.V2]) else Server.V3


class Endpoint:
    """Where the report of one run goes, and the token of the run.

    `url` is a valid http or https URL. `ca_file` is the path of a PEM file with the
    certificate authorities to trust, None for those of the system.
    """

    def __init__(self, url: str, run_uuid: str, ca_file: "str | None" = None) -> None:
        self.url = url
        self.run_uuid = run_uuid
        self.ca_file = ca_file
        self.server = server_of(url)
        self.is_tls = url.lower().startswith("https:")
        authority, _, rest = url.partition("://")[2].partition("/")
        self.has_known_path = f"/{rest}".partition("?")[0].endswith(tuple(PATHS.values()))
        address = authority.rpartition("@")[2]
        name, _, port = address.rpartition("]")[2].partition(":")
        self.host = name or address.partition("]")[0].lstrip("[")
        self.port = int(port) if port else DEFAULT_PORTS["https" if self.is_tls else "http"]

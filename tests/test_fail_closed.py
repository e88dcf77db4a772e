"""A check that is broken never passes: every script and example, with everything that can be wrong."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest

from docs.bundled import bundled
from tests.support.dns_server import by_zone, dns_server, udp_server
from tests.support.khshim import base_environ
from tests.support.kubernetes import api_server, recorded
from tests.support.manifests import ROOT, load
from tests.support.servers import closed_port, raw_server, tls_server, web_server
from tests.support.wrong_values import (
    NO_API,
    NO_DURATION,
    NO_FLAG,
    NO_HOST,
    NO_NAMESPACE,
    NO_NUMBER,
    NO_OBJECTS,
    NO_PORT,
    NO_SELECTOR,
    NO_WHOLE_NUMBER,
)

pytestmark = pytest.mark.whole_run


class Check(NamedTuple):
    """A script, with an environment and arguments that let it pass, and the programs it needs.

    What stands in braces in this and in the tables is a field of `Site`.
    """

    text: str
    env: Mapping[str, str] = {}
    args: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()


class Case(NamedTuple):
    """One thing that is wrong with a check, and how it must then end.

    `tools` says what a program prints instead of what it would print; None means that it is missing.
    """

    name: str
    words: str
    status: int = 1
    env: Mapping[str, str] = {}
    args: tuple[str, ...] | None = None
    tools: Mapping[str, str | None] = {}


def read(path: str) -> str:
    return (ROOT / path).read_text()


def embedded(manifest: str) -> str:
    text: str = load(read(manifest))[0]["data"]["dns_check.sh"]
    return text


# What each bundled script says that it reads.
VARIABLES = {one.name: {variable.name for variable in one.variables} for one in bundled()}
UP = '{"nodes": [{"name": "a", "up": true}]}'
UNSET = "UNSET"
# Scripts that read from the API server, and what lets them pass.
OF_THE_CLUSTER: dict[str, dict[str, str]] = {
    "deployment_rollout.py": {"NAMES": "web idle", "WAIT": "0s"},
    "image_pull.py": {"IMAGE": "pause"},
    "namespace_quota.py": {"MAX_PERCENT": "100"},
    "node_ready.py": {},
    "pod_restarts.py": {},
    "pod_status.py": {"SELECTOR": "app=web"},
    "tls_secrets.py": {"NAMES": "fresh"},
}
# A database's script: its client, the variable with the server, and what the client prints that passes.
DATABASES = {
    "mysql.sh": ("mysql", "HOST", "1"),
    "postgres.sh": ("psql", "PGHOST", "1"),
    "redis.sh": ("redis-cli", "HOST", "PONG"),
}
CHECKS = {
    "disk_space.sh": Check(read("scripts/disk_space.sh"), tools=("df",)),
    "http_check.sh": Check(
        read("scripts/http_check.sh"), {"URL": "{web}/?body=text"}, tools=("curl", "tr")
    ),
    "tls_expiry.py": Check(
        read("scripts/tls_expiry.py"), {"HOST": "localhost", "PORT": "{tls}", "CA_FILE": "{ca}"}
    ),
    "wait_for_port.py": Check(
        read("scripts/wait_for_port.py"), {"HOST": "127.0.0.1", "PORT": "{hangup}"}
    ),
    "dns_check.py": Check(
        read("scripts/dns_check.py"),
        {"NAMES": "one.test", "RESOLVER": "127.0.0.1", "RESOLVER_PORT": "{dns}"},
    ),
    "network_check.py": Check(
        read("scripts/network_check.py"),
        {"TARGETS": "tcp://127.0.0.1:{hangup} udp://127.0.0.1:{udp}"},
    ),
    "certificate_expiry.py": Check(
        read("scripts/certificate_expiry.py"), {"CERTIFICATE_FILES": "{ca}"}
    ),
    **{
        name: Check(
            read(f"scripts/{name}"), {"KUBERNETES_API": "{api}", "NAMESPACE": "shop", **env}
        )
        for name, env in OF_THE_CLUSTER.items()
    },
    **{
        name: Check(read(f"scripts/{name}"), {variable: "localhost"}, tools=(client,))
        for name, (client, variable, _) in DATABASES.items()
    },
    "nodes_check.sh": Check(
        read("examples/derived-image/nodes_check.sh"),
        {"URL": "{web}/?body=" + quote(UP)},
        tools=("curl", "jq"),
    ),
    "certificate_files.sh": Check(
        read("examples/kustomize/scripts/certificate_files.sh"), args=("{ca}",), tools=("grep",)
    ),
    "dns_check.sh of v2": Check(
        embedded("khcheck.yaml"), {"NAMES": "localhost"}, tools=("getent",)
    ),
    "dns_check.sh of v3": Check(
        embedded("healthcheck.yaml"), {"NAMES": "localhost"}, tools=("getent",)
    ),
}
DNS_CHECKS = ("dns_check.sh of v2", "dns_check.sh of v3")

# To a shell script a name is ASCII; how long its parts may be the client knows.
NO_ASCII_HOST = (
    *(host for host in NO_HOST if len(host) < 64 and host.isascii()),
    "bücher",
    "a\nb",
    "a;b",
    "$(id)",
)
NO_TARGETS = (
    *(
        "",
        " ",
        "localhost:80",
        "http://localhost:80",
        "tcp://localhost",
        "tcp://:80",
        "tcp://localhost:",
    ),
    *(
        "tcp://localhost:0",
        "tcp://localhost:65536",
        "tcp://localhost:080",
        "tcp://::1:80",
        "tcp://5:80",
    ),
    *(
        "tcp://a b:80",
        "tcp://localhost:80/",
        "tcp://localhost:80,tcp://localhost:81",
        "udp://-x:5",
        "*",
    ),
)
NO_URL = (
    *("", " ", "abc", "-1", "-o/dev/null", "--help", "localhost", "http:", "http://", "https:///x"),
    *("file:///etc/passwd", "ftp://localhost/", "nonsense://x", " http://localhost/", "08"),
    *("http://local host/", "http://localhost/\n", "http://localhost/\thttp://localhost/"),
)
NO_NAMES = (
    *("-1", "--help", "5", "08", "99999999999999999999", "1.5", "*", "a,b", "$(id)", "10s", "nan"),
    *("1e3", "0x10", "http://localhost", "localhost:53"),
)
NO_INVENTORY = (
    *(" ", "null", "{}", "[]", "5", "OK", "<p>", UP + "}", UP[:-1], UP + "{}", UP + UP),
    *('{"nodes": []}', '{"nodes": {}}', '{"nodes": null}', '{"nodes": "none"}', '{"nodes": ["a"]}'),
    *(
        '{"nodes": [[]]}',
        '{"nodes": [null]}',
        '{"nodes": [{"name": "a"}]}',
        '{"nodes": [{"up": true}]}',
    ),
    *('{"nodes": [{"name": "a", "up": "false"}]}', '{"nodes": [{"name": 1, "up": true}]}'),
)
A_HOST = "expected a host name or an address, without scheme, port and brackets"
A_PORT = "expected a whole number from 1 to 65535"
A_URL = "expected an address such as http://"
NAMES = "expected host names, separated by blanks"
A_DURATION = "expected a duration such as 90s, 10m or 1h30m"
TARGETS = "expected targets such as tcp://web.shop.svc:80"
FILES = "expected absolute paths of PEM files, or CERTIFICATE to be set"
OR_NONE = "or the variable not to be set"
SECONDS = (
    (*NO_NUMBER[:4], "0", "0.0", "0.0001", "10000"),
    "expected a number from 0.1 to 9999",
)


def few(values: Iterable[str]) -> tuple[str, ...]:
    """Return some values for a script whose variables are read by shim.checks.inputs.

    test_inputs.py tries all of them there.
    """
    values = tuple(values)
    return (values[0], values[2], values[-1])


# The values of a variable that a script must refuse, and what it says that it expected.
WRONG: dict[tuple[str, str], tuple[Iterable[str], str]] = {
    ("disk_space.sh", "DISK_PATH"): (
        ("", " ", "tmp", "-P", "--help", " /", "~", "08", "*"),
        "expected an absolute path",
    ),
    ("disk_space.sh", "MIN_FREE_PERCENT"): (
        (*NO_WHOLE_NUMBER, "101", "1000"),
        "expected a whole number from 0 to 100",
    ),
    ("http_check.sh", "URL"): (NO_URL, A_URL),
    ("http_check.sh", "EXPECT_STATUS"): (
        (*NO_WHOLE_NUMBER, "0", "000", "99", "600", "999", "2xx", "0200", "200,204"),
        "expected a status from 100 to 599",
    ),
    ("http_check.sh", "EXPECT_TEXT"): (("",), "expected a text, or the variable not to be set"),
    ("http_check.sh", "MAX_LATENCY_MS"): (
        (*NO_WHOLE_NUMBER, "0", "1000000"),
        "expected a whole number from 1 to 999999",
    ),
    ("http_check.sh", "TIMEOUT"): (
        (*NO_WHOLE_NUMBER, "0", "00", "0.0", "10000"),
        "expected a whole number from 1 to 9999",
    ),
    ("tls_expiry.py", "HOST"): (NO_HOST, A_HOST),
    ("tls_expiry.py", "PORT"): (NO_PORT, A_PORT),
    ("tls_expiry.py", "DAYS"): ((*NO_NUMBER, "36501"), "expected a number from 0 to 36500"),
    ("tls_expiry.py", "SERVER_NAME"): (NO_HOST, A_HOST),
    ("tls_expiry.py", "CA_FILE"): (
        ("", " ", "/no/such/file", "/", "/dev/null", "/etc/passwd", "{request}", "-x", "08"),
        "expected a PEM file of certificates",
    ),
    ("tls_expiry.py", "TIMEOUT"): (
        (*NO_NUMBER, "0", "0.0", "0.0001", "10000"),
        "expected a number from 0.1 to 9999",
    ),
    ("wait_for_port.py", "HOST"): (NO_HOST, A_HOST),
    ("wait_for_port.py", "PORT"): (NO_PORT, A_PORT),
    ("wait_for_port.py", "INTERVAL"): (
        (*NO_NUMBER, "0", "0.0", "0.0001", "10000"),
        "expected a number from 0.1 to 9999",
    ),
    ("nodes_check.sh", "URL"): (NO_URL, A_URL),
    **{(name, "NAMES"): (("", " ", "\n \t"), NAMES) for name in DNS_CHECKS},
    ("dns_check.py", "NAMES"): (
        ("", " ", "-x", "a..b", "one.test -x", "http://x", "a:5", "*", "5", "one.test,two.test"),
        NAMES,
    ),
    ("dns_check.py", "RESOLVER"): (few(NO_HOST), A_HOST),
    ("dns_check.py", "RESOLVER_PORT"): (few(NO_PORT), A_PORT),
    ("dns_check.py", "FAMILY"): (("", "4", "IPv4", "both"), "expected any, ipv4 or ipv6"),
    ("dns_check.py", "MIN_ADDRESSES"): (
        (*few(NO_WHOLE_NUMBER), "0", "10001"),
        "expected a whole number from 1 to 10000",
    ),
    ("dns_check.py", "EXPECT_ADDRESSES"): (
        (
            "",
            " ",
            "10.0.0",
            "10.0.0.256",
            "10.0.0.1,10.0.0.2",
            "localhost",
            "10.0.0.0/8",
            "1",
            ":::",
        ),
        "expected addresses, separated by blanks",
    ),
    ("dns_check.py", "PORT"): (few(NO_PORT), A_PORT),
    ("dns_check.py", "TIMEOUT"): SECONDS,
    ("network_check.py", "TARGETS"): (NO_TARGETS, TARGETS),
    ("network_check.py", "EXPECT"): (
        ("", " ", "yes", "Reachable", "closed"),
        "expected reachable or unreachable",
    ),
    ("network_check.py", "SEND_HEX"): (
        ("", " ", "0", "0x00", "zz", "é"),
        "expected hexadecimal digits, two for a byte",
    ),
    ("network_check.py", "TIMEOUT"): SECONDS,
    ("certificate_expiry.py", "CERTIFICATE_FILES"): (("", " ", "a.pem", "-x", "{ca} a.pem"), FILES),
    ("certificate_expiry.py", "CERTIFICATE"): (
        ("", " ", "\n"),
        "expected certificates in PEM form",
    ),
    ("certificate_expiry.py", "DAYS"): (
        (*few(NO_NUMBER), "36501"),
        "expected a number from 0 to 36500",
    ),
    **{
        (name, "KUBERNETES_API"): (few(NO_API), "expected an address such as")
        for name in OF_THE_CLUSTER
    },
    **{
        (name, variable): (values, expected)
        for name in OF_THE_CLUSTER
        for variable, values, expected in (
            ("NAMESPACE", few(NO_NAMESPACE), "expected a namespace, or * for all"),
            ("SELECTOR", few(NO_SELECTOR), "expected a label selector such as app=web,tier!=test"),
            ("ALLOW_NONE", few(NO_FLAG), "expected true or false"),
            ("NAMES", few(NO_OBJECTS), "expected names of "),
            ("DAYS", (*few(NO_NUMBER), "36501"), "expected a number from 0 to 36500"),
            ("WAIT", few(NO_DURATION), A_DURATION),
            ("WITHIN", few(NO_DURATION), A_DURATION),
            ("TOLERATE", few(NO_DURATION), A_DURATION),
            ("MAX_TIME", few(NO_DURATION), A_DURATION),
            ("MAX_PERCENT", (*few(NO_NUMBER), "0", "100.5"), "expected a number from 1 to 100"),
            ("IMAGE", ("", " "), "expected a part of an image's name"),
            ("MAX_RESTARTS", few(NO_WHOLE_NUMBER), "expected a whole number from 0 to 1000000"),
            ("MIN_NODES", (*few(NO_WHOLE_NUMBER), "0"), "expected a whole number from 1 to 100000"),
        )
        if variable in VARIABLES[name]
    },
    **{
        (name, variable): (values, expected)
        for name in DATABASES
        for variable, values, expected in (
            ("HOST", NO_ASCII_HOST, A_HOST),
            ("PGHOST", NO_ASCII_HOST, A_HOST),
            ("PORT", NO_PORT, A_PORT),
            ("PGPORT", NO_PORT, A_PORT),
            ("USERNAME", ("",), f"expected a user's name, {OR_NONE}"),
            ("PGUSER", ("",), f"expected a user's name, {OR_NONE}"),
            ("PASSWORD", ("",), f"expected a password, {OR_NONE}"),
            ("PGPASSWORD", ("",), f"expected a password, {OR_NONE}"),
            ("DATABASE", ("",), f"expected a database's name, {OR_NONE}"),
            ("PGDATABASE", ("",), f"expected a database's name, {OR_NONE}"),
            ("QUERY", ("", " ", "\n\t"), f"expected a query, {OR_NONE}"),
            ("EXPECT", ("",), f"expected an answer, {OR_NONE}"),
            ("TLS", NO_FLAG, "expected true or false"),
            ("ROLE", ("", " ", "slave", "Master"), "expected any, master or replica"),
            ("TIMEOUT", (*NO_WHOLE_NUMBER, "0", "00", "10000"), "expected a whole number from "),
        )
        if variable in VARIABLES[name]
    },
}
REQUIRED = {
    ("http_check.sh", "URL"): A_URL,
    ("tls_expiry.py", "HOST"): A_HOST,
    ("wait_for_port.py", "PORT"): A_PORT,
    ("nodes_check.sh", "URL"): A_URL,
    **{(name, "NAMES"): NAMES for name in DNS_CHECKS},
    ("dns_check.py", "NAMES"): NAMES,
    ("network_check.py", "TARGETS"): TARGETS,
    ("certificate_expiry.py", "CERTIFICATE_FILES"): FILES,
    **{(name, variable): A_HOST for name, (_, variable, _) in DATABASES.items()},
}
# A script, arguments that it must refuse, and what it says of them.
WRONG_ARGUMENTS = [
    *(
        (name, (argument,), f"'{argument}' is an argument: expected none")
        for name in CHECKS
        if name not in ("http_check.sh", "certificate_files.sh")
        for argument in ("localhost", "", "--help")
    ),
    *(("http_check.sh", (url,), f"URL is '{url}': {A_URL}") for url in NO_URL),
    ("http_check.sh", ("{web}", "{web}"), "2 arguments were given: expected one, the URL"),
    ("certificate_files.sh", (), "no argument was given: expected absolute paths"),
    *(
        ("certificate_files.sh", ("{ca}", path), f"'{path}' is an argument: expected an absolute")
        for path in ("", " ", "-", "-v", "--help", "-h", "08", "file.pem")
    ),
]
# A script, changes to its environment, and what it says of the check that fails.
BROKEN: list[tuple[str, dict[str, str], str]] = [
    ("disk_space.sh", {"DISK_PATH": "/no/such/path"}, "/no/such/path cannot be looked at"),
    ("disk_space.sh", {"DISK_PATH": "/proc"}, "/proc is on no file system that has a size"),
    *(
        ("http_check.sh", {"URL": url, "TIMEOUT": "1"}, f"{url} could not be fetched")
        for url in (
            "http://127.0.0.1:{closed}/",
            "http://no-such-host.invalid/",
            "http://127.0.0.1:99999/",
            "http://[::1/",
            "http://127.0.0.1:{hangup}/",
            "http://127.0.0.1:{rubbish}/",
            "http://127.0.0.1:{mute}/",
            "http://127.0.0.1:{half}/",
            "https://127.0.0.1:{tls}/",
            "{web}/?body=half&length=100",
        )
    ),
    # Were these patterns, the last of two answers would decide.
    *(
        ("http_check.sh", {"URL": url}, f"{url} answered with status 404, expected 200")
        for url in ("{web}/{a,?body=}", "{web}/[1-2]")
    ),
    (
        "http_check.sh",
        {"URL": "{web}", "EXPECT_TEXT": "text"},
        "{web} answered without the text 'text'",
    ),
    *(
        (
            "tls_expiry.py",
            {"PORT": port, "TIMEOUT": "0.5"},
            f"localhost:{port} could not be reached",
        )
        for port in ("{closed}", "{hangup}", "{rubbish}", "{mute}")
    ),
    ("tls_expiry.py", {"HOST": "no-such-host.invalid"}, "could not be reached by TLS"),
    ("tls_expiry.py", {"CA_FILE": UNSET}, "The certificate of localhost:{tls} is not valid"),
    ("tls_expiry.py", {"HOST": "127.0.0.1"}, "is not valid: IP address mismatch"),
    ("tls_expiry.py", {"SERVER_NAME": "a.invalid"}, "is not valid: Hostname mismatch"),
    *(
        ("nodes_check.sh", {"URL": url}, f"The inventory at {url} could not be fetched")
        for url in (
            "http://127.0.0.1:{closed}/",
            "http://no-such-host.invalid/",
            "http://127.0.0.1:{hangup}/",
            "http://127.0.0.1:{rubbish}/",
            "{web}/?status=503&body=" + quote(UP),
            "{web}/?length=1000&body=" + quote(UP),
            "{web}/{a,?body=" + quote(UP) + "}",
        )
    ),
    *(
        ("nodes_check.sh", {"URL": url}, f"The inventory at {url} is not as expected")
        for url in (
            "{web}/",
            "{web}/?status=302",
            *("{web}/?body=" + quote(body) for body in NO_INVENTORY),
        )
    ),
    ("dns_check.py", {"RESOLVER_PORT": "{closed}"}, "could not be asked: Connection refused"),
    ("dns_check.py", {"RESOLVER_PORT": "{udp}", "TIMEOUT": "0.3"}, "no answer in time"),
    ("dns_check.py", {"RESOLVER": "no-such-host.invalid"}, "no-such-host.invalid does not resolve"),
    ("dns_check.py", {"NAMES": "gone.test"}, "answered NXDOMAIN"),
    (
        "dns_check.py",
        {"PORT": "{closed}"},
        "127.0.0.1:{closed} does not answer: Connection refused",
    ),
    ("dns_check.py", {"NAMES": "a.invalid", "RESOLVER": UNSET}, "a.invalid does not resolve: "),
    (
        "network_check.py",
        {"TARGETS": "tcp://127.0.0.1:{closed}"},
        "not reachable: Connection refused",
    ),
    (
        "network_check.py",
        {"TARGETS": "udp://127.0.0.1:{closed}"},
        "not reachable: Connection refused",
    ),
    *(
        (
            "network_check.py",
            {"TARGETS": "tcp://a.invalid:80", "EXPECT": expected},
            "a.invalid does not resolve",
        )
        for expected in ("reachable", "unreachable")
    ),
    ("network_check.py", {"EXPECT": "unreachable"}, "is reachable, and should not be"),
    *(
        ("certificate_expiry.py", {"CERTIFICATE_FILES": path}, path)
        for path in ("/no/such/file", "/", "/dev/null", "{request}", "/etc/passwd")
    ),
    ("certificate_expiry.py", {"CERTIFICATE": "text"}, "the variable holds no certificate"),
    *(
        (name, {"KUBERNETES_API": f"http://127.0.0.1:{port}"}, words)
        for name in OF_THE_CLUSTER
        for port, words in (
            ("{closed}", ": Connection refused"),
            ("{hangup}", "The API server http://127.0.0.1:{hangup} could not be asked for "),
            ("{rubbish}", "The API server http://127.0.0.1:{rubbish} could not be asked for "),
        )
    ),
    *((name, {"KUBERNETES_API": "{web}"}, "answered with status 404") for name in OF_THE_CLUSTER),
    *((name, {"KUBERNETES_API": UNSET}, "this is no pod") for name in OF_THE_CLUSTER),
    (
        "nodes_check.sh",
        {"URL": "{web}/?body=" + quote('{"nodes": [{"name": "* x", "up": false}]}')},
        "node * x is down",
    ),
    *(
        (name, {"NAMES": f"{wrong} localhost"}, f"{wrong} does not resolve")
        for name in DNS_CHECKS
        for wrong in NO_NAMES
    ),
    *(
        (name, {"NAMES": names}, "a.invalid does not resolve")
        for name in DNS_CHECKS
        for names in ("a.invalid", "a.invalid localhost", "localhost\na.invalid")
    ),
]
REQUIRED_OF_BUNDLED = {
    one.name: {variable.name for variable in one.variables if variable.default is None}
    for one in bundled()
}
BROKEN_FILES = ("/no/such/file", "/", "/dev/null", "{request}", "/etc/passwd")
HEADER = "Filesystem 1024-blocks Used Available Capacity Mounted on\n"
# A script, a tool of its, what that prints before it ends with 0, and what the script says.
ODD_TOOLS = [
    *((name, tool, "", "") for name, check in CHECKS.items() for tool in check.tools),
    *(
        ("disk_space.sh", "df", HEADER + line, "/ is on no file system that has a size")
        for line in (
            "",
            "proc 0 0 0 - /proc",
            "proc 0 0 0 - /mnt/a 5",
            "/dev/x 100 50 50 % /",
            "/dev/x 100 50 50 5 /",
            "/dev/x 100 50 50 -5% /",
            "/dev/x 100 50 50 05% /",
            "/dev/x 100 50 50 99999999999999999999% /",
        )
    ),
    ("disk_space.sh", "df", HEADER + "/dev/x 9 10 -1 110% /", "/ has only -10 % free"),
    ("disk_space.sh", "df", HEADER + "//nas/a 5 b 9 9 0 100% /a 1 b", "/ has only 0 % free"),
    ("disk_space.sh", "df", HEADER + "/dev/x 9 9 0 100% -", "/ has only 0 % free"),
    ("http_check.sh", "curl", "200", "could not be fetched"),
    ("http_check.sh", "curl", "text\n000 0.001", "could not be fetched"),
    ("http_check.sh", "curl", "text\n200 x", "could not be fetched"),
    ("redis.sh", "redis-cli", "NOAUTH Authentication required.", "answered 'NOAUTH Authen"),
]


class Site(NamedTuple):
    """Servers of every kind, and files; the numbers are ports on loopback."""

    web: str
    api: str
    dns: int
    udp: int
    tls: int
    closed: int
    mute: int
    hangup: int
    rubbish: int
    half: int
    ca: str
    request: str

    def fill(self, text: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda name: str(getattr(self, name[1], name[0])), text)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    request = folder / "request.pem"
    request.write_text(
        "-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n"
        "This is not -----BEGIN CERTIFICATE-----\n"
    )
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
    with ExitStack() as stack:
        enter = stack.enter_context
        tls = enter(tls_server(folder, days=30))
        yield Site(
            web=enter(web_server()),
            api=enter(api_server(recorded())).url,
            dns=enter(dns_server(by_zone({"one.test": [("A", "127.0.0.1")]}))),
            udp=enter(udp_server(b"pong")),
            tls=tls.port,
            closed=closed_port(),
            mute=enter(raw_server(b"", hang_up=False)),
            hangup=enter(raw_server(b"")),
            rubbish=enter(raw_server(b"rubbish\n")),
            half=enter(raw_server(half, hang_up=False)),
            ca=tls.ca_file,
            request=str(request),
        )


def cases() -> Iterator[Case]:
    """Yield everything that can be wrong."""
    for (name, variable), (values, expected) in WRONG.items():
        for value in values:
            yield Case(name, f"{variable} is '{value}': {expected}", 2, {variable: value})
    for (name, variable), expected in REQUIRED.items():
        yield Case(name, f"{variable} is not set: {expected}", 2, {variable: UNSET})
    for name, args, words in WRONG_ARGUMENTS:
        yield Case(name, words, 2, args=args)
    for name, env, words in BROKEN:
        yield Case(name, words, env=env)
    for path in BROKEN_FILES:
        for args in ((path, "{ca}"), ("{ca}", path)):
            yield Case("certificate_files.sh", f"{path} holds no certificate", args=args)
    for name, check in CHECKS.items():
        for tool in check.tools:
            yield Case(name, f"{tool} is missing", tools={tool: None})
    for name, tool, prints, words in ODD_TOOLS:
        yield Case(name, words, tools={tool: prints})


def shells(name: str) -> tuple[str, ...]:
    if name.endswith(".py"):
        return (sys.executable,)
    # No image with a database's client has bash as its /bin/sh.
    return ("dash",) if name in DATABASES else ("dash", "bash")


@pytest.mark.parametrize(
    ("case", "shell"),
    [
        pytest.param(case, shell, id=f"{Path(shell).name} {case.name} {case.words[:60]!r}")
        for case in cases()
        for shell in shells(case.name)
    ],
)
def test_a_broken_check_never_passes(case: Case, shell: str, site: Site, tmp_path: Path) -> None:
    path = write(case.name, tmp_path)
    result = run(path, shell, site, case)
    assert result.returncode == case.status, result
    words = site.fill(case.words).encode(errors="backslashreplace").decode()
    if case.name.endswith(".py"):  # a problem is a line
        words = words.replace("\n", " ")
    assert words in result.stderr and result.stderr.strip()
    assert result.stdout == "" or case.status == 1
    # A shell that stumbles names the script and the line, and so does a traceback.
    assert str(path) not in result.stderr


@pytest.mark.parametrize(
    ("name", "shell"), [(name, shell) for name in CHECKS for shell in shells(name)]
)
def test_the_same_check_passes_where_nothing_is_wrong(
    name: str, shell: str, site: Site, tmp_path: Path
) -> None:
    """Without this the table would hold as well for a script that never passes."""
    tools: dict[str, str | None] = {"no-such-tool": None}  # and none but those it is said to need
    if name in DATABASES:  # the real ones: test_databases.py
        client, _, prints = DATABASES[name]
        tools[client] = prints
    result = run(write(name, tmp_path), shell, site, Case(name, "", tools=tools))
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("name", CHECKS)
def test_every_input_is_documented_and_in_the_table(name: str) -> None:
    text = CHECKS[name].text
    documented = set(re.findall(r"^(?:# {1,3}| *)([A-Z][A-Z_]+)  +\S.*$", text, re.MULTILINE))
    pattern = r'"([A-Z][A-Z_]+)"' if name.endswith(".py") else r"\$\{?([A-Z][A-Z_]+)"
    assert documented == set(re.findall(pattern, text))
    assert documented == {variable for script, variable in WRONG if script == name}
    if name in REQUIRED_OF_BUNDLED:
        required = REQUIRED_OF_BUNDLED[name]
    else:
        required = set(re.findall(r"([A-Z][A-Z_]+)  .*\(required", text))
    assert required == {variable for script, variable in REQUIRED if script == name}


def test_every_bundled_script_and_example_is_in_the_table() -> None:
    folders = [ROOT / "scripts", ROOT / "examples"]
    files = [
        path for folder in folders for path in folder.rglob("*") if path.suffix in (".sh", ".py")
    ]
    assert {path.name for path in files} == {name for name in CHECKS if name not in DNS_CHECKS}


def test_a_port_that_never_opens(site: Site, tmp_path: Path) -> None:
    path = write("wait_for_port.py", tmp_path)
    case = Case("wait_for_port.py", "", env={"PORT": "{closed}"})
    with subprocess.Popen(
        [sys.executable, str(path)],
        env=environment(case, site),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        words = "127.0.0.1:{closed} does not answer: Connection refused\n"
        assert process.stderr.readline() == site.fill(words)
        process.terminate()
        assert process.communicate() == ("", "")
    assert process.returncode == -signal.SIGTERM


def write(name: str, folder: Path) -> Path:
    path = folder / name.partition(" ")[0]
    path.write_text(CHECKS[name].text)
    return path


def environment(case: Case, site: Site) -> dict[str, str]:
    env = {**base_environ(), **CHECKS[case.name].env, **case.env}
    return {key: site.fill(value) for key, value in env.items() if value != UNSET}


def run(path: Path, shell: str, site: Site, case: Case) -> subprocess.CompletedProcess[str]:
    programs = {name: shutil.which(name) for name in (shell, *CHECKS[case.name].tools)}
    if None in programs.values():
        pytest.skip(f"not all of these are here: {', '.join(programs)}")
    args = CHECKS[case.name].args if case.args is None else case.args
    env = environment(case, site)
    if case.tools:
        env["PATH"] = str(tools_of(case, path.parent / "bin"))
    return subprocess.run(
        [str(programs[shell]), str(path), *map(site.fill, args)],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )


def tools_of(case: Case, folder: Path) -> Path:
    """Make the only folder of PATH: the tools of a check, without or instead of some."""
    folder.mkdir()
    for tool in CHECKS[case.name].tools:
        if tool not in case.tools:
            (folder / tool).symlink_to(str(shutil.which(tool)))
        elif (prints := case.tools[tool]) is not None:
            (folder / tool).write_text(f"#!/bin/sh\nprintf %s {shlex.quote(prints)}\n")
            (folder / tool).chmod(0o755)
    return folder

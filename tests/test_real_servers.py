"""The bundled checks against databases and name servers that others have written.

Each is started on loopback with data of its own, where it is installed; .ci/run installs all.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from tests.support.bundled import run
from tests.support.servers import closed_port

pytestmark = [pytest.mark.whole_run, pytest.mark.timeout(120)]

PASSWORD = "it's $ecret"
# What refuses to run as root runs as nobody.
USER = "nobody" if os.geteuid() == 0 else None
Problems = Sequence[str]


class Server(NamedTuple):
    """A running server: its port, and a folder of its own."""

    port: int
    folder: Path


def program(name: str, package: str) -> str:
    """Return the path of a program, also of one that Debian keeps out of PATH."""
    places = [*Path("/usr/lib/postgresql").glob("*/bin"), "/usr/sbin", os.environ["PATH"]]
    found = shutil.which(name, path=os.pathsep.join(map(str, places)))
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: {package})")
    return found


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Yield a folder that nobody's servers can use, which pytest's own are too private for."""
    with tempfile.TemporaryDirectory(prefix="khshim-") as name:
        if USER is not None:
            user = pwd.getpwnam(USER)
            os.chown(name, user.pw_uid, user.pw_gid)
        yield Path(name)


def prepare(*command: str) -> None:
    result = subprocess.run(
        command, user=USER, capture_output=True, text=True, check=False, cwd="/"
    )
    assert result.returncode == 0, result.stderr


@contextmanager
def running(*command: str, ready: str) -> Iterator[None]:
    """Run a server until the end; it is there when it has logged `ready`."""
    with subprocess.Popen(
        command,
        user=USER,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd="/",
    ) as process:
        assert process.stdout is not None
        try:
            log = []
            for line in process.stdout:
                log.append(line)
                if ready in line:
                    break
            else:
                pytest.fail("".join(log))
            yield
        finally:
            process.terminate()
            process.communicate()


@pytest.fixture(scope="module")
def postgres(folder: Path) -> Iterator[Server]:
    server = program("postgres", "postgresql")
    program("psql", "postgresql-client")
    data = folder / "postgres"
    password = folder / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    prepare(
        program("initdb", "postgresql"),
        *("--pgdata", str(data), "--username", "postgres", "--auth", "scram-sha-256"),
        *("--pwfile", str(password), "--no-sync"),
    )
    port = closed_port()
    options = f"-D {data} -p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    ready = "database system is ready to accept connections"
    with running(server, *options.split(), ready=ready):
        yield Server(port, folder)


@pytest.fixture(scope="module")
def mariadb(folder: Path) -> Iterator[Server]:
    server = program("mariadbd", "mariadb-server")
    program("mysql", "mariadb-client")
    data = folder / "mariadb"
    own = ["--no-defaults", f"--datadir={data}"]
    prepare(
        program("mariadb-install-db", "mariadb-server"),
        *(*own, "--auth-root-authentication-method=normal", "--skip-test-db"),
    )
    start = folder / "start.sql"
    # The server takes one statement a line.
    start.write_text(
        f'CREATE USER shop@localhost IDENTIFIED BY "{PASSWORD}";\n'
        "CREATE DATABASE shop;\n"
        "GRANT ALL ON shop.* TO shop@localhost;\n"
        "CREATE TABLE shop.orders (id INT, name TEXT);\n"
        "INSERT INTO shop.orders VALUES (1, 'two words'), (2, 'b');\n"
    )
    port = closed_port()
    network = [f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder}/mariadb.sock"]
    quick = ["--innodb-flush-log-at-trx-commit=0", f"--pid-file={folder}/mariadb.pid"]
    with running(
        server, *own, *network, *quick, f"--init-file={start}", ready="ready for connections"
    ):
        yield Server(port, folder)


@pytest.fixture(scope="module")
def redis(folder: Path) -> Iterator[Callable[..., Server]]:
    server = program("redis-server", "redis-server")
    program("redis-cli", "redis-tools")
    with ExitStack() as stack:

        def start(*options: str, ready: str = "Ready to accept connections") -> Server:
            port = closed_port()
            network = [
                "--port",
                str(port),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--dir",
                str(folder),
            ]
            stack.enter_context(running(server, *network, *options, ready=ready))
            return Server(port, folder)

        yield start


def check(script: str, env: Mapping[str, str], problem: str) -> None:
    """Run a script in the shell that most images have as /bin/sh; no problem means that it passes."""
    result = run(script, prefix=["dash"], **env)
    assert result.returncode == (1 if problem else 0), result
    assert problem in result.stderr and bool(result.stderr) is bool(problem), result
    assert bool(result.stdout) is not bool(problem), result


@pytest.mark.parametrize(
    ("env", "problem"),
    [
        ({}, ""),
        ({"EXPECT": "1"}, ""),
        (
            {
                "QUERY": "SELECT 'a b', NULL, 2 UNION ALL SELECT 'c', 'd', 3",
                "EXPECT": "a b||2\nc|d|3",
            },
            "",
        ),
        ({"QUERY": "SELECT 2", "EXPECT": "1"}, "answered '2', expected '1'"),
        ({"QUERY": "SELECT 1 WHERE false"}, "answered the query with nothing"),
        ({"QUERY": "SELECT"}, "answered the query with nothing"),
        ({"QUERY": "SELECT nothing"}, 'column "nothing" does not exist'),
        ({"QUERY": "SELECT 1; SELECT nothing"}, "did not answer the query"),
        (
            {"QUERY": "SELECT pg_sleep(60)", "TIMEOUT": "2"},
            "canceling statement due to statement timeout",
        ),
        ({"PGPASSWORD": "wrong"}, "password authentication failed"),
        ({"PGPASSWORD": "UNSET"}, "no password supplied"),
        ({"PGDATABASE": "shop"}, 'database "shop" does not exist'),
        ({"PGUSER": "shop"}, "The database shop at 127.0.0.1 port {port} did not answer the query"),
        ({"PGPORT": "{closed}"}, "Connection refused"),
        ({"PGHOST": "no-such-host.invalid"}, "could not translate host name"),
    ],
)
def test_postgres(postgres: Server, env: dict[str, str], problem: str) -> None:
    own = {"PGHOST": "127.0.0.1", "PGPORT": "{port}", "PGPASSWORD": PASSWORD, **env}
    check("postgres.sh", filled(own, postgres), filled({"": problem}, postgres)[""])


@pytest.mark.parametrize(
    ("env", "problem"),
    [
        ({}, ""),
        ({"EXPECT": "1"}, ""),
        ({"DATABASE": "shop", "QUERY": "SELECT * FROM orders", "EXPECT": "1\ttwo words\n2\tb"}, ""),
        ({"QUERY": "SELECT 2", "EXPECT": "1"}, "answered '2', expected '1'"),
        ({"QUERY": "SELECT 1 FROM DUAL WHERE false"}, "answered the query with nothing"),
        ({"QUERY": "SELECT nothing"}, "Unknown column 'nothing'"),
        ({"QUERY": "SELECT 1; SELECT nothing"}, "did not answer the query"),
        ({"PASSWORD": "wrong"}, "Access denied"),
        ({"PASSWORD": "UNSET"}, "Access denied"),
        ({"USERNAME": "nobody"}, "Access denied"),
        ({"DATABASE": "mysql"}, "Access denied"),
        ({"PORT": "{closed}"}, "Can't connect to server"),
        (
            {"HOST": "no-such-host.invalid"},
            "The database at no-such-host.invalid port {port} did not",
        ),
    ],
)
def test_mysql(mariadb: Server, env: dict[str, str], problem: str) -> None:
    own = {"HOST": "localhost", "PORT": "{port}", "USERNAME": "shop", "PASSWORD": PASSWORD, **env}
    check("mysql.sh", filled(own, mariadb), filled({"": problem}, mariadb)[""])


def test_mysql_where_the_client_is_called_mariadb(mariadb: Server, tmp_path: Path) -> None:
    (tmp_path / "mariadb").symlink_to(str(shutil.which("mysql")))
    env = {"HOST": "localhost", "PORT": str(mariadb.port), "USERNAME": "shop", "PASSWORD": PASSWORD}
    result = run("mysql.sh", prefix=[str(shutil.which("dash"))], PATH=str(tmp_path), **env)
    assert (result.returncode, result.stderr) == (0, "")


def filled(env: Mapping[str, str], server: Server) -> dict[str, str]:
    ports = {"{port}": str(server.port), "{closed}": str(closed_port())}
    found = {}
    for name, value in env.items():
        for mark, port in ports.items():
            value = value.replace(mark, port)
        if value != "UNSET":
            found[name] = value
    return found


def test_redis(redis: Callable[..., Server]) -> None:
    server = redis("--requirepass", PASSWORD)
    own = {"HOST": "127.0.0.1", "PORT": str(server.port), "PASSWORD": PASSWORD}
    check("redis.sh", own, "")
    check("redis.sh", {**own, "USERNAME": "default", "ROLE": "master"}, "")
    check(
        "redis.sh",
        {**own, "ROLE": "replica"},
        f"port {server.port} is a master, expected is a replica",
    )
    check("redis.sh", {**own, "USERNAME": "shop"}, "answered 'NOAUTH")
    check("redis.sh", {**own, "PASSWORD": "wrong"}, "answered 'NOAUTH")
    check("redis.sh", {"HOST": "127.0.0.1", "PORT": str(server.port)}, "answered 'NOAUTH")
    check("redis.sh", {**own, "PORT": str(closed_port())}, "Connection refused")
    check(
        "redis.sh", {**own, "HOST": "no-such-host.invalid"}, "The server no-such-host.invalid port"
    )


def test_redis_of_two_roles(redis: Callable[..., Server]) -> None:
    master = redis()
    replica = redis("--replicaof", f"127.0.0.1 {master.port}", ready="Finished with success")
    lost = redis("--replicaof", f"127.0.0.1 {closed_port()}")
    for server, role, problem in (
        (master, "master", ""),
        (replica, "replica", ""),
        (replica, "master", "is a replica, expected is a master"),
        (lost, "replica", "is a replica without a link to its master, expected is a replica"),
    ):
        check("redis.sh", {"HOST": "localhost", "PORT": str(server.port), "ROLE": role}, problem)


def test_redis_by_tls(redis: Callable[..., Server], folder: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate = authority.issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    port = closed_port()
    files = [f"--tls-{what}-file" for what in ("cert", "key", "ca-cert")]
    names = ["server.pem", "server.pem", "ca.pem"]
    options = [word for file, name in zip(files, names) for word in (file, str(folder / name))]
    redis("--tls-port", str(port), "--tls-auth-clients", "no", *options)
    env = {"HOST": "localhost", "PORT": str(port), "TLS": "true"}
    check("redis.sh", {**env, "SSL_CERT_FILE": str(folder / "ca.pem")}, "")
    check("redis.sh", env, "did not answer")


ADDRESSES = [f"10.0.{number}.1" for number in range(100)]


@pytest.fixture(scope="module")
def dnsmasq() -> Iterator[Server]:
    port = closed_port()
    options = [
        *(
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--pid-file=",
            "--no-hosts",
            "--no-resolv",
        ),
        *("--bind-interfaces", "--listen-address=127.0.0.1", f"--port={port}", "--local=/#/"),
        *(
            "--log-facility=-",
            "--host-record=both.test,10.0.0.1,fd00::1",
            "--cname=alias.test,both.test",
        ),
        *(f"--host-record=many.test,{address}" for address in ADDRESSES),
    ]
    if USER is None:
        options.append(f"--user={pwd.getpwuid(os.geteuid()).pw_name}")
    with running(program("dnsmasq", "dnsmasq-base"), *options, ready="started, version"):
        yield Server(port, Path())


@pytest.fixture(scope="module")
def unbound(folder: Path) -> Iterator[Server]:
    port = closed_port()
    records = [
        *("both.test. A 10.0.0.1", "both.test. AAAA fd00::1", "alias.test. CNAME both.test."),
        *(f"many.test. A {address}" for address in ADDRESSES),
    ]
    config = folder / "unbound.conf"
    config.write_text(
        f'server:\n interface: 127.0.0.1@{port}\n username: ""\n chroot: ""\n use-syslog: no\n'
        f' directory: "{folder}"\n pidfile: "{folder}/unbound.pid"\n do-daemonize: no\n verbosity: 1\n'
        + ' local-zone: "test." static\n'
        + "".join(f' local-data: "{record}"\n' for record in records)
        + "remote-control:\n control-enable: no\n"
    )
    with running(program("unbound", "unbound"), "-d", "-c", str(config), ready="start of service"):
        yield Server(port, folder)


@pytest.mark.parametrize("server", ["dnsmasq", "unbound"])
@pytest.mark.parametrize(
    ("names", "env", "problem"),
    [
        ("both.test", {"EXPECT_ADDRESSES": "fd00::1 10.0.0.1"}, ""),
        # By TCP, since it is too large for a packet.
        ("many.test", {"EXPECT_ADDRESSES": " ".join(ADDRESSES)}, ""),
        ("BOTH.test. both.test", {"FAMILY": "ipv6"}, ""),
        ("gone.test", {}, "gone.test does not resolve: 127.0.0.1:{port} answered NXDOMAIN"),
        (
            "many.test",
            {"FAMILY": "ipv6"},
            "many.test does not resolve: 127.0.0.1 answered without ipv6",
        ),
    ],
)
def test_dns_check(
    server: str, names: str, env: dict[str, str], problem: str, request: pytest.FixtureRequest
) -> None:
    port = str(request.getfixturevalue(server).port)
    result = run("dns_check.py", NAMES=names, RESOLVER="127.0.0.1", RESOLVER_PORT=port, **env)
    assert result.returncode == (1 if problem else 0), result
    assert result.stderr.startswith(problem.format(port=port)) and bool(result.stderr) is bool(
        problem
    )


def test_an_alias(dnsmasq: Server) -> None:
    env = {"RESOLVER": "127.0.0.1", "RESOLVER_PORT": str(dnsmasq.port)}
    result = run("dns_check.py", NAMES="alias.test", EXPECT_ADDRESSES="10.0.0.1 fd00::1", **env)
    assert (result.returncode, result.stderr) == (0, "")


def test_what_is_sent_by_udp_is_answered(dnsmasq: Server) -> None:
    """A question of DNS for the root's name servers."""
    question = "1234 0100 0001 0000 0000 0000 00 0002 0001"
    target = f"udp://127.0.0.1:{dnsmasq.port}"
    result = run("network_check.py", TARGETS=target, SEND_HEX=question)
    assert (result.returncode, result.stderr) == (0, "")

"""The bundled checks, against real local servers. What can be wrong with one: test_fail_closed.py."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shim.checks.certificates import validities
from tests.support.bundled import SCRIPTS, run
from tests.support.dns_server import dns_server, udp_server
from tests.support.khshim import Shim, base_environ
from tests.support.servers import (
    closed_port,
    raw_server,
    tcp_server,
    tls_port,
    tls_server,
    web_server,
)

pytestmark = pytest.mark.whole_run

NEEDS_CURL = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    with web_server() as url:
        yield url


@pytest.mark.parametrize(
    ("query", "env", "errors"),
    [
        ("", {}, []),
        ("status=404", {"EXPECT_STATUS": "404"}, []),
        ("status=204", {"EXPECT_STATUS": "204", "TIMEOUT": "9999"}, []),
        ("body=all is %00 well%0Areally%0A", {"EXPECT_TEXT": "all is  well\nreally\n"}, []),
        ("body=%FF%FEwell%FF", {"EXPECT_TEXT": "well"}, []),
        ("", {"MAX_LATENCY_MS": "999999"}, []),
        ("status=500", {}, ["{url} answered with status 500, expected 200"]),
        ("body=text", {"EXPECT_TEXT": "*"}, ["{url} answered without the text '*'"]),
        ("body=text", {"EXPECT_TEXT": "t??t"}, ["{url} answered without the text 't??t'"]),
        ("body=text", {"EXPECT_TEXT": "[a-z]"}, ["{url} answered without the text '[a-z]'"]),
        ("body=text", {"EXPECT_TEXT": "te\\xt"}, ["{url} answered without the text 'te\\xt'"]),
        ("body=text", {"EXPECT_TEXT": "a\\cb"}, ["{url} answered without the text 'a\\cb'"]),
        ("body=text", {"EXPECT_TEXT": " "}, ["{url} answered without the text ' '"]),
        ("body=te\\x*[t]?", {"EXPECT_TEXT": "e\\x*[t]?"}, []),
        (
            "status=503",
            {"EXPECT_TEXT": "maintenance"},
            [
                "{url} answered with status 503, expected 200",
                "{url} answered without the text 'maintenance'",
            ],
        ),
    ],
)
@pytest.mark.parametrize("shell", ["dash", "bash"])
@NEEDS_CURL
def test_http_check(
    web: str, shell: str, query: str, env: dict[str, str], errors: list[str]
) -> None:
    url = f"{web}/?{quote(query, safe='=&%')}"
    result = run("http_check.sh", prefix=[shell], URL=url, **env)
    assert result.stderr.splitlines() == [error.format(url=url) for error in errors]
    assert result.returncode == (1 if errors else 0)
    assert result.stdout.startswith(f"{url} answered with status ") and " ms" in result.stdout


@pytest.mark.parametrize("host", ["[::1]", "bücher.localhost", "LOCALHOST"])
@NEEDS_CURL
def test_http_check_of_every_kind_of_host(host: str) -> None:
    """Names under localhost are loopback to curl, so an international one needs no DNS."""
    address = "::1" if host == "[::1]" else "127.0.0.1"
    with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", host=address) as port:
        result = run("http_check.sh", f"http://{host}:{port}/", LC_ALL="C")
    assert (result.returncode, result.stderr) == (0, "")


@NEEDS_CURL
def test_http_check_latency() -> None:
    def serve(connection: socket.socket) -> None:
        with connection:
            connection.recv(65_536)
            threading.Event().wait(0.05)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with tcp_server(serve) as port:
        result = run("http_check.sh", f"http://127.0.0.1:{port}/", MAX_LATENCY_MS="10")
    assert result.returncode == 1
    assert "allowed are 10 ms" in result.stderr


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/", "http://no-such-host.invalid/"])
@NEEDS_CURL
def test_http_check_without_an_answer(url: str) -> None:
    url = url.format(port=closed_port())
    result = run("http_check.sh", URL=url)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == f"{url} could not be fetched"
    assert result.stderr.startswith("curl: ")


@NEEDS_CURL
def test_http_check_under_khshim(web: str, shim: Shim) -> None:
    url = f"{web}/?status=500"
    result = shim.run(str(SCRIPTS / "http_check.sh"), env={"URL": url})
    assert result.errors == [f"{url} answered with status 500, expected 200"]


@pytest.mark.parametrize(
    ("starts", "expires_in", "env", "error"),
    [
        (-60, 30.5, {}, ""),
        (-60, 10.5, {"DAYS": "10"}, ""),
        (-60, 0.5, {"DAYS": "0"}, ""),
        (-60, 10.5, {"SERVER_NAME": "localhost", "TIMEOUT": "9.5", "DAYS": "10.4"}, ""),
        (-60, 10.5, {}, "expires in 10.5 days"),
        (-60, 10.5, {"DAYS": "10.6"}, "wanted are 10.6"),
        (-60, -1, {}, "is not valid: certificate has expired"),
        (1, 60, {}, "is not valid: certificate is not yet valid"),
        (-60, 30, {"SERVER_NAME": "other.example"}, "is not valid: Hostname mismatch"),
        (-60, 30, {"SERVER_NAME": "bücher.example"}, "is not valid: Hostname mismatch"),
    ],
)
def test_tls_expiry(
    tmp_path: Path, starts: float, expires_in: float, env: dict[str, str], error: str
) -> None:
    with tls_server(tmp_path, expires_in, starts) as tls:
        result = run(
            "tls_expiry.py", HOST="localhost", PORT=str(tls.port), CA_FILE=tls.ca_file, **env
        )
    assert error in result.stderr
    assert result.returncode == (1 if error else 0), result.stderr


def test_tls_expiry_of_a_date_that_is_none(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    expires = datetime(2033, 3, 3, 3, 3, 3, tzinfo=timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.now(timezone.utc) - timedelta(days=1))
        .not_valid_after(expires)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    # An authority's own signature is not looked at, so that its date can be replaced.
    der = certificate.public_bytes(serialization.Encoding.DER)
    assert der.count(b"330303030303Z") == 1
    pem = ssl.DER_cert_to_PEM_cert(der.replace(b"330303030303Z", b"331303030303Z"))
    file = tmp_path / "certificate.pem"
    file.write_bytes(
        pem.encode()
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with tls_port(context) as port:
        result = run("tls_expiry.py", HOST="localhost", PORT=str(port), CA_FILE=str(file))
    assert (result.returncode, result.stdout) == (1, "")
    assert f"The certificate of localhost:{port} is not valid: " in result.stderr


def test_tls_expiry_of_an_unknown_authority(tmp_path: Path) -> None:
    with tls_server(tmp_path, 30) as tls:
        result = run("tls_expiry.py", HOST="localhost", PORT=str(tls.port))
    assert "is not valid: self" in result.stderr or "is not valid: unable to get" in result.stderr


@pytest.mark.parametrize(("host", "address"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_tls_expiry_without_a_server(host: str, address: str) -> None:
    port = closed_port()
    result = run("tls_expiry.py", HOST=host, PORT=str(port))
    assert result.returncode == 1
    assert result.stderr.startswith(f"{address}:{port} could not be reached by TLS: ")


def test_tls_expiry_without_a_place_for_the_key_log() -> None:
    """Python opens it with the first context, before anything is connected."""
    result = run("tls_expiry.py", HOST="localhost", SSLKEYLOGFILE="/no/such/folder/keys")
    assert result.returncode == 1
    assert "/no/such/folder/keys" in result.stderr and "Traceback" not in result.stderr


def test_disk_space() -> None:
    assert run("disk_space.sh", MIN_FREE_PERCENT="0").returncode == 0
    result = run("disk_space.sh", MIN_FREE_PERCENT="100")
    assert result.returncode == 1 and "/ has only " in result.stderr


def test_disk_space_says_what_df_says(tmp_path: Path) -> None:
    folder = tmp_path / "a * folder"
    folder.mkdir()
    result = run("disk_space.sh", DISK_PATH=str(folder), MIN_FREE_PERCENT="0")
    df = subprocess.run(["df", "--output=pcent", folder], capture_output=True, text=True)
    used = int(df.stdout.split()[-1].rstrip("%"))
    assert abs(100 - used - int(result.stdout.split(" has ")[1].split()[0])) <= 1
    assert result.stdout.startswith(f"{folder} has ")


@pytest.mark.parametrize(("wanted", "status"), [("10", 0), ("11", 1)])
def test_disk_space_at_its_limit(tmp_path: Path, wanted: str, status: int) -> None:
    df = tmp_path / "df"
    df.write_text("#!/bin/sh\necho Filesystem\necho '/dev/x y 100 90 10 90% /'\n")
    df.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    result = run("disk_space.sh", MIN_FREE_PERCENT=wanted, PATH=path)
    assert (result.returncode, "only 10 % free" in result.stderr) == (status, status == 1)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_wait_for_port(host: str) -> None:
    with raw_server(b"", host=host) as port:
        result = run("wait_for_port.py", HOST=host, PORT=str(port))
    assert (result.returncode, result.stderr) == (0, "")


def test_wait_for_port_under_khshim(shim: Shim) -> None:
    port = closed_port()
    env = {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "INTERVAL": "0.1",
        "SHIM_TIMEOUT": "1s",
    }
    result = shim.run(str(SCRIPTS / "wait_for_port.py"), env=env)
    [_, error] = result.errors  # the same line again and again
    assert error.startswith(f"127.0.0.1:{port} does not answer: Connection refused (")


def alone_on_a_network_of_one_port() -> None:
    """Set up a network namespace: loopback, and a single port that the kernel may choose."""
    with socket.socket() as any_socket:
        up = struct.pack("16sh14x", b"lo", 0x1)  # IFF_UP
        fcntl.ioctl(any_socket, 0x8914, up)  # SIOCSIFFLAGS
    Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40000")


def test_a_port_that_is_connected_to_itself() -> None:
    """TCP lets a connection meet itself where the kernel chooses its target's port for it."""
    setup = (
        "import os, sys; from tests.test_scripts import alone_on_a_network_of_one_port as alone;"
        "alone(); os.execv(sys.argv[1], sys.argv[1:])"
    )
    unshare = ["unshare", "--net", "--map-root-user"]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"]).returncode:
        pytest.skip("needs to be allowed to unshare")
    with subprocess.Popen(
        [*unshare, sys.executable, "-c", setup, sys.executable, str(SCRIPTS / "wait_for_port.py")],
        env={**base_environ(), "HOST": "127.0.0.1", "PORT": "40000"},
        cwd=SCRIPTS.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        process.kill()
        assert line == "127.0.0.1:40000 does not answer: Connected to itself\n"
        assert process.communicate()[0] == ""


@pytest.mark.parametrize(
    ("expected", "target", "status", "problem"),
    [
        ("reachable", "tcp://127.0.0.1:{tcp}", 0, ""),
        ("reachable", "tcp://[::1]:{tcp6} udp://127.0.0.1:{udp} udp://[::1]:{udp6}", 0, ""),
        (
            "reachable",
            "udp://127.0.0.1:{mute}",
            1,
            "udp://127.0.0.1:{mute} is not reachable: no answer",
        ),
        ("unreachable", "tcp://127.0.0.1:{closed} udp://127.0.0.1:{mute}", 0, ""),
        ("unreachable", "udp://127.0.0.1:{closed}", 0, ""),
        (
            "unreachable",
            "tcp://[::1]:{tcp6}",
            1,
            "tcp://[::1]:{tcp6} is reachable, and should not be",
        ),
        (
            "unreachable",
            "udp://127.0.0.1:{udp}",
            1,
            "udp://127.0.0.1:{udp} is reachable, and should",
        ),
        # A limit of this machine tells nothing of the other one: a broadcast is not allowed.
        ("unreachable", "udp://255.255.255.255:5", 1, "could not be tried: Permission denied"),
        (
            "reachable",
            "tcp://localhost:{tcp}",
            1,
            "tcp://localhost:{tcp} at ::1 is not reachable: ",
        ),
    ],
)
def test_network_check(expected: str, target: str, status: int, problem: str) -> None:
    with (
        raw_server(b"") as tcp,
        raw_server(b"", host="::1") as tcp6,
        udp_server(b"pong") as udp,
        udp_server(b"pong", "::1") as udp6,
        udp_server(None) as mute,
    ):
        ports = {"tcp": tcp, "tcp6": tcp6, "udp": udp, "udp6": udp6, "mute": mute}
        ports["closed"] = closed_port()
        if "localhost" in target and "::1" not in {
            address[0] for *_, address in socket.getaddrinfo("localhost", None)
        }:
            pytest.skip("localhost has one address here")
        env = {"TARGETS": target.format(**ports), "EXPECT": expected, "TIMEOUT": "0.5"}
        result = run("network_check.py", **env)
    assert (result.returncode, problem.format(**ports) in result.stderr) == (status, True), result
    assert bool(result.stderr) is bool(problem) and bool(result.stdout) is not bool(problem)


def test_network_check_sends_what_it_is_told() -> None:
    received = []

    def answer(question: bytes, is_tcp: bool) -> bytes:
        received.append(question)
        return b"pong"

    with dns_server(answer) as port:
        result = run("network_check.py", TARGETS=f"udp://127.0.0.1:{port}", SEND_HEX="1b00 FF")
    assert (result.returncode, received) == (0, [b"\x1b\x00\xff"])


def pem(expires_in: float, starts: float = -60) -> str:
    now = datetime.now(timezone.utc)
    one = trustme.CA().issue_cert(
        "localhost",
        not_before=now + timedelta(days=starts),
        not_after=now + timedelta(days=expires_in),
    )
    return one.cert_chain_pems[0].bytes().decode()


@pytest.mark.parametrize(
    ("texts", "env", "problems"),
    [
        ([pem(30)], {}, []),
        ([pem(30) + pem(20), "words\r\n" + pem(15).replace("\n", "\r\n")], {}, []),
        # Behind 2050 a date is written in another way.
        ([pem(36_500, -20_000)], {"DAYS": "36000"}, []),
        ([pem(10)], {"DAYS": "9"}, []),
        ([pem(30) + pem(10)], {}, ["Certificate 2 in {0} expires at 20"]),
        (
            [pem(-1), pem(30, 1)],
            {},
            ["The certificate in {0} expired at 20", "{1} is not valid before"],
        ),
        ([pem(10)], {"DAYS": "11"}, ["UTC, in less than 11 days"]),
        ([pem(30)[:-40]], {}, ["{0} holds no certificate in PEM form, or one that breaks off"]),
        (
            [pem(30) + pem(30)[:200]],
            {},
            ["{0} holds no certificate in PEM form, or one that breaks off"],
        ),
        (
            [pem(30).replace("M", "N", 1)],
            {},
            ["{0} holds a certificate, number 1, that cannot be read"],
        ),
        ([pem(30), ""], {}, ["{1} holds no certificate"]),
    ],
)
def test_certificate_expiry(
    tmp_path: Path, texts: list[str], env: dict[str, str], problems: list[str]
) -> None:
    paths = [tmp_path / f"{number}.pem" for number in range(len(texts))]
    for path, text in zip(paths, texts):
        path.write_bytes(text.encode())
    result = run("certificate_expiry.py", CERTIFICATE_FILES=" ".join(map(str, paths)), **env)
    lines = result.stderr.splitlines()
    assert len(lines) == len(problems), result
    assert all(words.format(*paths) in line for line, words in zip(lines, problems)), lines
    assert (result.returncode, bool(result.stdout)) == (1 if problems else 0, not problems)


@pytest.mark.parametrize(("days", "status"), [(30, 0), (3, 1)])
def test_certificate_expiry_of_a_secret_in_a_variable(days: float, status: int) -> None:
    result = run("certificate_expiry.py", CERTIFICATE=pem(days))
    assert (result.returncode, "the variable expires at 20" in result.stderr) == (
        status,
        status == 1,
    )


@pytest.mark.filterwarnings("ignore:Parsed a serial number:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Parsed a serial number:UserWarning")
def test_all_authorities_here_are_read_as_others_read_them() -> None:
    """Of every kind and age, by another library."""
    text = Path(
        ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt"
    ).read_text()
    others = x509.load_pem_x509_certificates(text.encode())
    ours = validities(text)
    assert len(ours) == len(others) > 50
    for our, other in zip(ours, others):
        dates = other.not_valid_before_utc, other.not_valid_after_utc
        assert our == tuple(date.timestamp() for date in dates)

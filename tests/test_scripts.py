"""The example checks, against real local servers."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from tests.conftest import Shim, base_environ

SCRIPTS = Path(__file__).parent.parent / "scripts"


def run(name: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPTS / name, *args],
        env={**base_environ(), **env},
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(int(self.path.removeprefix("/")))
            body = b"all is \0 well\nreally"
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def test_every_script_says_what_it_is_and_what_it_reads() -> None:
    scripts = sorted(SCRIPTS.iterdir())
    assert len(scripts) >= 2
    for script in scripts:
        top = script.read_text()[:1500]
        assert script.name in top.splitlines()[1]
        assert "(default:" in top or "(required" in top
        assert script.stat().st_mode & 0o111


@pytest.mark.parametrize(
    ("path", "env", "errors"),
    [
        ("/200", {}, []),
        ("/404", {"EXPECT_STATUS": "404"}, []),
        ("/200", {"EXPECT_TEXT": "well\nreally"}, []),
        ("/200", {"MAX_LATENCY_MS": "5000"}, []),
        ("/500", {}, ["{url} answered with status 500, expected 200"]),
        ("/200", {"EXPECT_TEXT": "*"}, ["{url} answered without the text '*'"]),
        (
            "/503",
            {"EXPECT_TEXT": "maintenance"},
            [
                "{url} answered with status 503, expected 200",
                "{url} answered without the text 'maintenance'",
            ],
        ),
    ],
)
def test_http_check(web: str, path: str, env: dict[str, str], errors: list[str]) -> None:
    url = web + path
    result = run("http_check.sh", URL=url, **env)
    assert result.stderr.splitlines() == [error.format(url=url) for error in errors]
    assert result.returncode == (1 if errors else 0)
    assert " ms" in result.stdout


def test_http_check_latency() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                threading.Event().wait(0.05)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        result = run("http_check.sh", url, MAX_LATENCY_MS="10")
    assert result.returncode == 1
    assert "allowed are 10 ms" in result.stderr


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{port}/", "nonsense://x", "http://no-such-host.invalid/"]
)
def test_http_check_without_an_answer(url: str) -> None:
    url = url.format(port=closed_port())
    result = run("http_check.sh", URL=url)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == f"{url} could not be fetched"
    assert result.stderr.startswith("curl: ")


def test_http_check_under_khshim(web: str, shim: Shim) -> None:
    result = shim.run(str(SCRIPTS / "http_check.sh"), env={"URL": f"{web}/500"})
    assert result.errors == [f"{web}/500 answered with status 500, expected 200"]


class Tls(NamedTuple):
    ca_file: str
    port: int


def serve_tls(directory: Path, days: float) -> Tls:
    authority = trustme.CA()
    path = directory / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    expires = datetime.now(timezone.utc) + timedelta(days=days)
    authority.issue_cert(
        "localhost", not_before=expires - timedelta(days=90), not_after=expires
    ).configure_cert(context)
    listener = socket.create_server(("127.0.0.1", 0))

    def work() -> None:
        connection, _ = listener.accept()
        try:
            with context.wrap_socket(connection, server_side=True) as tls:
                tls.recv(1)
        except OSError:
            pass
        finally:
            connection.close()
            listener.close()

    threading.Thread(target=work, daemon=True).start()
    return Tls(str(path), listener.getsockname()[1])


@pytest.mark.parametrize(
    ("expires_in", "env", "error"),
    [
        (30.5, {}, ""),
        (10.5, {"DAYS": "10"}, ""),
        (10.5, {}, "expires in 10.5 days"),
        (-1, {}, "is not valid: certificate has expired"),
        (30, {"SERVER_NAME": "other.example"}, "is not valid: Hostname mismatch"),
    ],
)
def test_tls_expiry(tmp_path: Path, expires_in: float, env: dict[str, str], error: str) -> None:
    tls = serve_tls(tmp_path, expires_in)
    result = run(
        "tls_expiry.py",
        HOST="localhost",
        PORT=str(tls.port),
        CA_FILE=tls.ca_file,
        **env,
    )
    assert error in result.stderr
    assert result.returncode == (1 if error else 0), result.stderr


def test_tls_expiry_of_an_unknown_authority(tmp_path: Path) -> None:
    result = run("tls_expiry.py", HOST="localhost", PORT=str(serve_tls(tmp_path, 30).port))
    assert "is not valid: self" in result.stderr or "is not valid: unable to get" in result.stderr


def test_tls_expiry_without_a_server() -> None:
    result = run("tls_expiry.py", HOST="127.0.0.1", PORT=str(closed_port()))
    assert result.returncode == 1
    assert "could not be reached by TLS" in result.stderr


def test_disk_space() -> None:
    assert run("disk_space.sh", MIN_FREE_PERCENT="0").returncode == 0
    result = run("disk_space.sh", MIN_FREE_PERCENT="101")
    assert result.returncode == 1 and "/ has only " in result.stderr
    assert run("disk_space.sh", DISK_PATH="/no/such/path").returncode == 1


def test_wait_for_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        result = run("wait_for_port.py", HOST="127.0.0.1", PORT=str(listener.getsockname()[1]))
    assert result.returncode == 0


def test_wait_for_port_under_khshim(shim: Shim) -> None:
    port = closed_port()
    env = {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "INTERVAL": "0.1",
        "SHIM_TIMEOUT": "1s",
    }
    result = shim.run(str(SCRIPTS / "wait_for_port.py"), env=env)
    line = f"127.0.0.1:{port} does not answer: Connection refused"
    assert result.errors[-1].startswith(line)


@pytest.mark.parametrize(
    ("name", "variable"),
    [("http_check.sh", "URL"), ("tls_expiry.py", "HOST"), ("wait_for_port.py", "PORT")],
)
def test_what_is_required_is_asked_for(name: str, variable: str) -> None:
    result = run(name)
    assert result.returncode == 2
    assert result.stderr.startswith(f"{variable} is not set")

"""One POST of a report, and what can come of it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from typing import NamedTuple

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
    SSLError,
)

import shim
from shim.protocol import ANSWER_TIMEOUT, Endpoint

CONNECT_TIMEOUT = 5.0
# Of an error's body, enough for the server's own words.
WORDS_SIZE = 1024


class Answer(NamedTuple):
    """An HTTP answer: status, the headers that matter ("" where missing), its first words."""

    status: int
    retry_after: str = ""
    location: str = ""
    words: str = ""


class Lost(NamedTuple):
    """No answer. `sent` tells whether the report may have reached the server all the same."""

    reason: str
    sent: bool


def post(endpoint: Endpoint, body: bytes, note: Callable[[Answer | Lost], None]) -> None:
    """POST `body` once. The time of each step is limited, that of the whole is not.

    `note` is told how far it has come, the last time what came of it: whoever does not
    wait for the end knows then whether the report may have been sent. Of an error it is
    told first without its words, since a server may send a status and then nothing.

    Proxy variables are ignored, since the server is in the cluster, and redirects
    are not followed, since the run's uuid would go to another host with them.
    """
    note(Lost("the host did not resolve in time", sent=False))
    try:
        _resolve(endpoint.url)
        note(Lost("no answer in time", sent=True))
        with connections(endpoint) as http:
            response = http.request(
                "POST",
                endpoint.url,
                body=body,
                headers={
                    "Content-Type": "application/json",
                    "kh-run-uuid": endpoint.run_uuid,
                    "User-Agent": f"khshim/{shim.__version__}",
                    "Connection": "close",
                },
                redirect=False,
                retries=False,
                timeout=urllib3.Timeout(
                    connect=CONNECT_TIMEOUT, read=ANSWER_TIMEOUT[endpoint.server]
                ),
                preload_content=False,
                decode_content=False,
            )
            answer = Answer(
                response.status,
                response.headers.get("Retry-After", ""),
                response.headers.get("Location", ""),
            )
            note(answer)
            if answer.status != 200:
                for words in _words(response):
                    note(answer._replace(words=words))
    except HTTPError as error:
        note(_lost(error))


def connections(endpoint: Endpoint) -> urllib3.PoolManager:
    """Return where requests to the server go through; raises urllib3's SSLError.

    urllib3's own TLS context would write to SSLKEYLOGFILE, which is the script's, and
    fail where that cannot be written.
    """
    if not endpoint.url.lower().startswith("https:"):
        return urllib3.PoolManager()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if endpoint.ca_file is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(endpoint.ca_file)
    except OSError as error:
        raise SSLError(f"{endpoint.ca_file}: {error}") from error
    return urllib3.PoolManager(ssl_context=context)


def _resolve(url: str) -> None:
    """Wait for name resolution, which takes no timeout; what fails here fails again below."""
    parts = urllib3.util.parse_url(url)
    try:
        socket.getaddrinfo((parts.host or "").strip("[]"), parts.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        pass


def _words(response: urllib3.BaseHTTPResponse) -> Iterator[str]:
    """Yield the beginning of the body as it grows, since it may come in pieces."""
    words = b""
    try:
        while len(words) < WORDS_SIZE and (more := response.read1(WORDS_SIZE - len(words))):
            words += more
            yield words.decode("utf-8", "replace").strip()
    except HTTPError:
        pass  # the status says enough


def _lost(error: HTTPError) -> Lost:
    never_sent = (LocationValueError, ConnectTimeoutError, SSLError)
    return Lost(explain(error), sent=not isinstance(error, never_sent))


def explain(error: HTTPError) -> str:
    """Return what went wrong with a request, as part of a sentence."""
    if isinstance(error, LocationValueError):
        return f"the URL cannot be understood ({error})"
    if isinstance(error, NameResolutionError):
        return f"the host does not resolve ({str(error).partition(': ')[2]})"
    if isinstance(error, NewConnectionError):  # before its base, ConnectTimeoutError
        # Without the repr of the connection that urllib3 puts first.
        return f"no connection ({str(error).partition(': ')[2]})"
    if isinstance(error, ConnectTimeoutError):
        return f"no connection within {CONNECT_TIMEOUT:.0f} s"
    if isinstance(error, SSLError):
        return f"TLS failed ({error})"
    return f"the connection broke before the answer ({error})"

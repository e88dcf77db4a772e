"""One POST of a report, and what can come of it."""

from __future__ import annotations

import socket
from collections.abc import Callable
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
        with urllib3.PoolManager(ca_certs=endpoint.ca_file) as http:
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
                note(answer._replace(words=_words(response)))
    except HTTPError as error:
        note(_lost(error))


def _resolve(url: str) -> None:
    """Wait for name resolution, which takes no timeout; what fails here fails again below."""
    parts = urllib3.util.parse_url(url)
    try:
        socket.getaddrinfo((parts.host or "").strip("[]"), parts.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        pass


def _words(response: urllib3.BaseHTTPResponse) -> str:
    try:
        return response.read1(WORDS_SIZE).decode("utf-8", "replace").strip()
    except HTTPError:
        return ""  # the status says enough


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

"""One HTTP request, made step by step so that it is always known whether it was sent."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, LocationValueError

from shim.delivery.connect import CONNECT_TIMEOUT, connect, resolve, tls_context
from shim.delivery.waiting import no_answer_within
from shim.kuberhealthy import DEFAULT_PORTS

# Bytes of a body that are read: enough to show the server's own words.
WORDS_SIZE = 1024
# The body of a 200 only tells Kuberhealthy's own answer, which has none, from another's.
BODY_TIMEOUT = 1.0


class Request(NamedTuple):
    """A request to make; `answer_timeout` in seconds counts from the end of the request."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    answer_timeout: float
    ca_file: str | None = None


class Answer(NamedTuple):
    """An HTTP answer: status, the headers that matter ("" where missing), its first words."""

    status: int
    retry_after: str = ""
    location: str = ""
    words: str = ""
    date: str = ""


class Lost(NamedTuple):
    """No answer. `sent` tells whether the request may have reached the server all the same."""

    reason: str
    sent: bool


class _TlsError(Exception):
    """No TLS session could be made; the message says why."""


class Attempt:
    """How far one request has come, shared between the thread that makes it and the one that waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._abandoned = False
        self.outcome: Answer | Lost = Lost("the attempt could not begin", sent=False)

    def has_come_to(self, outcome: Answer | Lost) -> None:
        """Note the outcome if nothing more were to come."""
        self.outcome = outcome

    def may_send(self) -> bool:
        """Tell whether the request may still be sent; from now on it counts as sent."""
        with self._lock:
            if not self._abandoned:
                self.outcome = Lost("no answer in time", sent=True)
            return not self._abandoned

    def abandon(self) -> Answer | Lost:
        """Forbid to send what was not sent yet, and return the outcome so far."""
        with self._lock:
            self._abandoned = True
            return self.outcome


class _FinalResponse(http.client.HTTPResponse):
    """Passes over interim answers: http.client itself knows 100 alone (RFC 9110, 15.2)."""

    def begin(self) -> None:
        super().begin()
        while 100 < self.status < 200 and self.status != http.HTTPStatus.SWITCHING_PROTOCOLS:
            self.headers = self.msg = None  # type: ignore[assignment]  # begin() starts anew
            super().begin()


def perform(request: Request, attempt: Attempt) -> None:
    """Make `request` once, noting in `attempt` how far it has come, and its outcome last.

    Each step has a time limit except name resolution, and the whole has none: the
    caller waits in another thread. Proxy variables are ignored, since the server is in
    the cluster, and redirects are not followed, since the run's uuid would go along.
    """
    try:
        _perform(request, attempt)
    except LocationValueError as error:
        reason = f"the URL cannot be understood ({_words_of(error)})"
        attempt.has_come_to(Lost(reason, sent=False))
    except Exception as error:  # also a bug of khshim's own is a failed attempt, not the end
        before = attempt.outcome
        if isinstance(before, Lost):  # the status is known already otherwise
            attempt.has_come_to(Lost(_explain(error, before, request), before.sent))


def _perform(request: Request, attempt: Attempt) -> None:
    url = urllib3.util.parse_url(request.url)
    is_tls = url.scheme == "https"
    host = (url.host or "").strip("[]")
    attempt.has_come_to(Lost("the host did not resolve in time", sent=False))
    addresses = resolve(host, url.port or DEFAULT_PORTS[url.scheme or "http"])
    attempt.has_come_to(Lost("no connection in time", sent=False))
    raw = connect(addresses)
    with raw:
        raw.settimeout(CONNECT_TIMEOUT)
        if is_tls:
            attempt.has_come_to(Lost("no TLS handshake in time", sent=False))
            try:
                raw = tls_context(request.ca_file).wrap_socket(raw, server_hostname=host)
            except OSError as error:
                raise _TlsError(
                    str(getattr(error, "verify_message", "")) or _words_of(error)
                ) from error
        with raw:
            _exchange(request, url, raw, attempt)


def _exchange(
    request: Request, url: urllib3.util.Url, connected: socket.socket, attempt: Attempt
) -> None:
    kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
    connection = kind(url.host or "", url.port, timeout=request.answer_timeout)
    connection.response_class = _FinalResponse
    connection.sock = connected
    if not attempt.may_send():
        return
    headers = {**request.headers, "Connection": "close"}
    connection.request(
        request.method,
        url.request_uri,
        request.body,
        headers,
        preload_content=False,
        decode_content=False,
    )
    response = connection.getresponse()
    answer = Answer(
        response.status,
        response.headers.get("Retry-After", ""),
        one_line(response.headers.get("Location", "")),
        date=response.headers.get("Date", ""),
    )
    attempt.has_come_to(answer)
    if answer.status == 200:
        connected.settimeout(BODY_TIMEOUT)
    for words in _words(response):
        attempt.has_come_to(answer._replace(words=words))


def _words(response: urllib3.BaseHTTPResponse) -> Iterator[str]:
    """Yield the beginning of the body as it grows, since it may come in pieces."""
    words = b""
    try:
        while len(words) < WORDS_SIZE and (more := response.read1(WORDS_SIZE - len(words))):
            words += more
            yield one_line(words.decode("utf-8", "replace"), WORDS_SIZE)
    except (HTTPError, OSError):
        pass  # the status says enough


def one_line(text: str, longest: int = 200) -> str:
    """Return what another program said as one printable line of at most `longest` characters."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _explain(error: Exception, before: Lost, request: Request) -> str:
    """Return what went wrong, as part of a sentence."""
    if isinstance(error, socket.gaierror):
        return f"the host does not resolve ({error.strerror})"
    if isinstance(error, _TlsError):
        return f"TLS failed ({_words_of(error)})"
    if not before.sent:
        words = _words_of(error)
        return words if isinstance(error, TimeoutError) else f"no connection ({words})"
    if isinstance(error, TimeoutError):
        return no_answer_within(request.answer_timeout)
    if isinstance(error, http.client.RemoteDisconnected):
        return "the connection was closed before the answer"
    if isinstance(error, (http.client.BadStatusLine, http.client.LineTooLong)):
        return f"the answer is no HTTP ({_words_of(error)})"
    return f"the connection broke before the answer ({_words_of(error)})"


def _words_of(error: Exception) -> str:
    return one_line((error.strerror if isinstance(error, OSError) else None) or str(error))

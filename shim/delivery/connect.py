"""A connection to the first of a host's addresses that answers, with TLS where it is asked for."""

from __future__ import annotations

import os
import select
import socket
import ssl
import time
from collections import deque
from typing import Any, NamedTuple

CONNECT_TIMEOUT = 5.0
# "Connection Attempt Delay" (RFC 8305, section 5): then the next address is tried as well.
NEXT_ADDRESS_AFTER = 0.25
# Where distributions keep the authorities that they trust: Debian and Alpine, Fedora, openSUSE, others.
AUTHORITIES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


class Address(NamedTuple):
    """Where to connect to: an entry of getaddrinfo(3)."""

    family: int
    address: Any


def resolve(host: str, port: int) -> list[Address]:
    """Return the addresses of `host`, the best first. Raises OSError; takes no timeout."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # no name at all, such as "a..b"
        raise socket.gaierror(socket.EAI_NONAME, str(error)) from error
    return [Address(family, address) for family, _, _, _, address in found]


def connect(addresses: list[Address], seconds: float = CONNECT_TIMEOUT) -> socket.socket:
    """Return a socket connected to the first address that accepts, by RFC 8305.

    Dead addresses do not use up the time of a live one behind them. Raises OSError,
    TimeoutError where none has accepted within `seconds`.
    """
    until = time.monotonic() + seconds
    next_at = 0.0
    waiting = deque(addresses)
    connecting: dict[int, socket.socket] = {}
    problems: list[str] = []
    poll = select.poll()
    try:
        while waiting or connecting:
            now = time.monotonic()
            if now >= until:
                raise TimeoutError(f"no connection within {seconds:.1f} s")
            if waiting and (now >= next_at or not connecting):
                try:
                    sock = _start_connecting(waiting.popleft())
                except OSError as error:
                    problems.append(error.strerror or str(error))
                    continue
                connecting[sock.fileno()] = sock
                poll.register(sock, select.POLLOUT)
                next_at = now + NEXT_ADDRESS_AFTER
            wake_at = min(until, next_at) if waiting else until
            for fd, _ in poll.poll(max(0.0, wake_at - time.monotonic()) * 1000):
                poll.unregister(fd)
                done = connecting.pop(fd)
                error_number = done.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error_number == 0:
                    return done
                done.close()
                problems.append(os.strerror(error_number))
                next_at = 0.0
    finally:
        for sock in connecting.values():
            sock.close()
    raise OSError(", ".join(dict.fromkeys(problems)) or "the host has no address")


def _start_connecting(address: Address) -> socket.socket:
    """Return a socket that is being connected to `address`; raises OSError."""
    sock = socket.socket(address.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.connect(address.address)
    except BlockingIOError:
        pass
    except OSError:
        sock.close()
        raise
    return sock


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Return a context that trusts `ca_file`, or the system's authorities.

    Raises OSError. Made here and not by urllib3 or ssl.create_default_context(),
    which write to SSLKEYLOGFILE: that is the script's, and it may not be writable.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if ca_file is None:
            _trust_the_system(context)
        else:
            context.load_verify_locations(ca_file)
    except OSError as error:
        raise OSError(f"{ca_file}: {error}") from error
    return context


def _trust_the_system(context: ssl.SSLContext) -> None:
    """Trust the authorities of the image, where it has any; else those that come with OpenSSL.

    In khshim's own runtime the latter are its own. An image that trusts only an authority
    of the house, or was stripped of some, means it so: nothing is added to what it has.
    """
    if not (os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")):
        for path in AUTHORITIES:
            try:
                context.load_verify_locations(path)
                return
            except OSError:
                pass  # it is not there, or empty
    context.load_default_certs()

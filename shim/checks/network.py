"""Names, addresses and connections, each with a time limit."""

from __future__ import annotations

import errno
import queue
import socket
import threading

from shim.checks.verdict import CheckError

FAMILIES = {"any": socket.AF_UNSPEC, "ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}


class ResolveError(CheckError):
    """A name has no address; the message says why."""


def shown(host: str, port: int | str) -> str:
    """Return a host and its port as in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def resolve(host: str, timeout: float, family: str = "any") -> list[str]:
    """Return all addresses that the system's resolver has for a name, each once.

    The C library's getaddrinfo(3) takes no timeout, so it is waited for no longer than that.
    """
    answers: queue.SimpleQueue[list[str] | OSError | UnicodeError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, None, FAMILIES[family], socket.SOCK_STREAM)
            answers.put([str(address[0]) for *_, address in found])
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=timeout)
    except queue.Empty:
        raise ResolveError(f"{host} does not resolve: no answer within {timeout:g} s") from None
    if isinstance(answer, Exception):
        reason = getattr(answer, "strerror", None) or str(answer)
        raise ResolveError(f"{host} does not resolve: {reason}")
    return list(dict.fromkeys(answer))


def connect(address: str, port: int, timeout: float) -> socket.socket:
    """Return a TCP connection to an address or name; raises OSError."""
    connection = socket.create_connection((address, port), timeout=timeout)
    # TCP lets a connection meet itself where the kernel chose the port we want for our end.
    if connection.getsockname()[:2] == connection.getpeername()[:2]:
        connection.close()
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connected to itself")
    return connection


def why(error: OSError) -> str:
    """Return in words why a connection failed."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return error.strerror or str(error)

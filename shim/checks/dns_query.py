"""Asking a given name server for the addresses of a name (RFC 1035, RFC 3596), by UDP and by TCP."""

from __future__ import annotations

import secrets
import socket
import struct
import time

from shim.checks.network import ResolveError, shown, why

PORT = 53
TYPES = {"ipv4": 1, "ipv6": 28}
FAMILIES = {1: socket.AF_INET, 28: socket.AF_INET6}
CNAME, INTERNET = 5, 1
# QR, TC and RCODE in the flags of a header; RD is set in a question.
ANSWER, TRUNCATED, RECURSION_DESIRED, RCODE = 0x8000, 0x0200, 0x0100, 0x000F
RCODES = {
    1: "FORMERR, it did not understand the question",
    2: "SERVFAIL, it could not find out",
    3: "NXDOMAIN, there is no such name",
    4: "NOTIMP, it does not know such questions",
    5: "REFUSED, it does not answer us",
}
# A packet by UDP can get lost; the time is divided among so many.
PACKETS = 3
LARGEST = 65_535
LONGEST_CHAIN = 16


class _OddAnswerError(ValueError):
    """What came back is no answer by the RFC."""


def ask(name: str, family: str, server: str, timeout: float, port: int = PORT) -> list[str]:
    """Return the addresses of `name` (ipv4 or ipv6) by the server at an address, maybe none.

    The name is taken as it is, without search domains. Raises ResolveError.
    """
    deadline = time.monotonic() + timeout
    kind = TYPES[family]
    question = _question(name, kind)
    try:
        answer = _by_udp(question, server, port, timeout)
        if _flags(answer) & TRUNCATED:
            answer = _by_tcp(question, server, port, deadline)
        code = _flags(answer) & RCODE
        if code:
            raise ResolveError(
                f"{name} does not resolve: {shown(server, port)} answered"
                f" {RCODES.get(code, f'with code {code}')}"
            )
        return _addresses(answer, question, kind)
    except _OddAnswerError as error:
        raise ResolveError(
            f"{name} does not resolve: {shown(server, port)} answered, but {error}"
        ) from None
    except OSError as error:
        raise ResolveError(
            f"{name} does not resolve: {shown(server, port)} could not be asked: {why(error)}"
        ) from None


def _question(name: str, kind: int) -> bytes:
    labels = name.removesuffix(".").encode("idna").split(b".")
    encoded = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    header = struct.pack("!6H", secrets.randbits(16), RECURSION_DESIRED, 1, 0, 0, 0)
    return header + encoded + struct.pack("!2H", kind, INTERNET)


def _by_udp(question: bytes, server: str, port: int, timeout: float) -> bytes:
    """Return the first packet that is an answer to the question; others are passed over."""
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect((server, port))
        for _ in range(PACKETS):
            sock.send(question)
            deadline = time.monotonic() + timeout / PACKETS
            while (left := deadline - time.monotonic()) > 0:
                sock.settimeout(left)
                try:
                    answer = sock.recv(LARGEST)
                except TimeoutError:
                    break
                if _answers(answer, question):
                    return answer
    raise TimeoutError


def _by_tcp(question: bytes, server: str, port: int, deadline: float) -> bytes:
    """Return the answer that was too large for a packet; before each message is its length."""

    def read(size: int) -> bytes:
        data = b""
        while len(data) < size:
            sock.settimeout(max(deadline - time.monotonic(), 0.001))
            more = sock.recv(size - len(data))
            if not more:
                raise _OddAnswerError("hung up in the middle of its answer by TCP")
            data += more
        return data

    left = max(deadline - time.monotonic(), 0.001)
    with socket.create_connection((server, port), timeout=left) as sock:
        sock.sendall(struct.pack("!H", len(question)) + question)
        [size] = struct.unpack("!H", read(2))
        answer = read(size)
    if not _answers(answer, question):
        raise _OddAnswerError("by TCP not to this question")
    return answer


def _answers(answer: bytes, question: bytes) -> bool:
    """Tell whether a message is an answer with the question's id, and to that question.

    A server that does not understand may leave the question out.
    """
    if len(answer) < 12 or answer[:2] != question[:2] or not _flags(answer) & ANSWER:
        return False
    repeated = answer[12 : len(question)].lower() == question[12:].lower()
    return repeated or (answer[4:6] == b"\0\0" and _flags(answer) & RCODE != 0)


def _flags(message: bytes) -> int:
    return int.from_bytes(message[2:4], "big")


def _addresses(answer: bytes, question: bytes, kind: int) -> list[str]:
    """Return the addresses in an answer, by way of its aliases."""
    found: dict[bytes, list[str]] = {}
    aliases: dict[bytes, bytes] = {}
    at = len(question)
    try:
        for _ in range(int.from_bytes(answer[6:8], "big")):
            owner, at = _name(answer, at)
            record, klass, _, size = struct.unpack_from("!2HIH", answer, at)
            at += 10
            data = answer[at : at + size]
            if len(data) < size:
                raise _OddAnswerError("its answer breaks off")
            if klass == INTERNET and record == kind:
                found.setdefault(owner, []).append(socket.inet_ntop(FAMILIES[kind], data))
            elif klass == INTERNET and record == CNAME:
                aliases[owner] = _name(answer, at)[0]
            at += size
        name, _ = _name(question, 12)
    except (IndexError, struct.error, ValueError) as error:
        if isinstance(error, _OddAnswerError):
            raise
        raise _OddAnswerError("its answer is none by RFC 1035") from None
    for _ in range(LONGEST_CHAIN):
        if name in found or name not in aliases:
            break
        name = aliases[name]
    return found.get(name, [])


def _name(message: bytes, at: int) -> tuple[bytes, int]:
    """Return the name at an offset, in lower case, and the offset behind it.

    Two bits mark a pointer to an earlier part (RFC 1035, section 4.1.4); each must lead further
    to the front, so that there is no circle.
    """
    labels = []
    behind = None
    start = at
    while length := message[at]:
        if length >= 0xC0:
            behind = behind or at + 2
            at = int.from_bytes(message[at : at + 2], "big") & 0x3FFF
            if at >= start:
                raise _OddAnswerError("its answer has a name that points to itself")
            start = at
            continue
        label = message[at + 1 : at + 1 + length]
        if length > 63 or len(label) < length:
            raise _OddAnswerError("its answer has a name that breaks off")
        labels.append(label.lower())
        at += 1 + length
    return b".".join(labels), behind or at + 1

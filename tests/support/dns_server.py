"""A name server on loopback, by UDP and TCP at one port (RFC 1035, section 4)."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

A, CNAME, AAAA = 1, 5, 28
TYPES = {"A": A, "AAAA": AAAA, "CNAME": CNAME}
NXDOMAIN = 3
ANSWER, TRUNCATED, AUTHORITATIVE = 0x8080, 0x0200, 0x0400

# What is known of each name: pairs of a type and a value, or the code that is answered.
Zone = Mapping[str, "Sequence[tuple[str, str]] | int"]
Respond = Callable[[bytes, bool], "bytes | None"]


def encode(name: str) -> bytes:
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"


def record(owner: bytes, kind: str, value: str) -> bytes:
    """Return a resource record with a second to live."""
    if kind == "CNAME":
        data = encode(value)
    else:
        data = socket.inet_pton(socket.AF_INET6 if kind == "AAAA" else socket.AF_INET, value)
    return owner + struct.pack("!2HIH", TYPES[kind], 1, 1, len(data)) + data


def reply(question: bytes, records: Sequence[bytes], flags: int = 0) -> bytes:
    header = question[:2] + struct.pack("!5H", ANSWER | flags, 1, len(records), 0, 0)
    return header + question[12:] + b"".join(records)


def by_zone(zone: Zone, limit: int = 512) -> Respond:
    """Return what answers by a zone, by UDP with no more than `limit` bytes."""

    def respond(question: bytes, is_tcp: bool) -> bytes:
        labels, at = [], 12
        while length := question[at]:
            labels.append(question[at + 1 : at + 1 + length].decode())
            at += 1 + length
        name = ".".join(labels).lower()
        [kind] = struct.unpack_from("!H", question, at + 1)
        known = zone.get(name, NXDOMAIN)
        if isinstance(known, int):
            return reply(question, [], known)
        # An alias is followed; a name that was asked for is a pointer to the question.
        owner, records = b"\xc0\x0c", []
        while len(known) == 1 and known[0][0] == "CNAME":
            target = known[0][1]
            records.append(record(owner, "CNAME", target))
            owner, found = encode(target.upper()), zone[target]
            assert not isinstance(found, int)
            known = found
        records += [record(owner, one, value) for one, value in known if TYPES[one] == kind]
        answer = reply(question, records, AUTHORITATIVE)
        if not is_tcp and len(answer) > limit:
            return reply(question, [], TRUNCATED)
        return answer

    return respond


@contextmanager
def dns_server(respond: Respond, host: str = "127.0.0.1") -> Iterator[int]:
    """Yield the port where `respond` answers: bytes, or None for silence."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as tcp:
        port = tcp.getsockname()[1]
        with socket.socket(family, socket.SOCK_DGRAM) as udp:
            udp.bind((host, port))

            def by_udp() -> None:
                while True:
                    question, sender = udp.recvfrom(65_535)
                    if not question:
                        return
                    answer = respond(question, False)
                    if answer is not None:
                        udp.sendto(answer, sender)

            def by_tcp() -> None:
                while True:
                    try:
                        connection, _ = tcp.accept()
                    except OSError:
                        return  # it was shut down
                    with connection:
                        question = connection.recv(65_535)[2:]
                        answer = respond(question, True)
                        if answer is not None:
                            connection.sendall(struct.pack("!H", len(answer)) + answer)

            threads = [threading.Thread(target=work, daemon=True) for work in (by_udp, by_tcp)]
            for thread in threads:
                thread.start()
            try:
                yield port
            finally:
                with socket.socket(family, socket.SOCK_DGRAM) as ending:
                    ending.sendto(b"", (host, port))
                tcp.shutdown(socket.SHUT_RDWR)
                for thread in threads:
                    thread.join(5)


@contextmanager
def udp_server(answer: bytes | None, host: str = "127.0.0.1") -> Iterator[int]:
    """Yield the UDP port where each datagram gets this answer, or none."""
    with dns_server(lambda question, is_tcp: answer, host) as port:
        yield port

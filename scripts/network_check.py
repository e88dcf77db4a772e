#!/opt/khshim/bin/python3
"""network_check.py - can TCP and UDP ports be reached, or not, as it should be?

TARGETS   where to, separated by blanks: tcp://web.shop.svc:80 udp://10.0.0.5:123  (required)
EXPECT    reachable, or unreachable as behind a network policy                     (default: reachable)
SEND_HEX  what is sent by UDP, in hexadecimal digits                               (default: 00)
TIMEOUT   seconds for each target, at least 0.1                                    (default: 5)

All addresses of a name are looked at. By UDP only an answer shows that something is there, so
send what the service answers: a request of NTP is 1b and 94 zeros.
It ends with 1 where a target is not as it should be or its name does not resolve, with 2 for a
wrong value.

Example: khshim manifest network_check.py --interval 5m --timeout 1m --env TARGETS=tcp://web.shop.svc:80
Replaces: network-connection-check
"""

import errno
import re
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from shim.checks import inputs, network, verdict, words

# How a connection ends that nobody takes, or that something on the way refuses or drops.
UNREACHABLE = {
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.ETIMEDOUT,
}


class Target(NamedTuple):
    protocol: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.protocol}://{network.shown(self.host, self.port)}"


def check() -> verdict.Verdict:
    targets = inputs.items("TARGETS", a_target, "targets such as tcp://web.shop.svc:80")
    is_wanted = inputs.choice("EXPECT", ("reachable", "unreachable"), "reachable") == "reachable"
    payload = inputs.items("SEND_HEX", bytes.fromhex, "hexadecimal digits, two for a byte", "00")
    timeout = inputs.number("TIMEOUT", "5", 0.1, 9999)

    problems = []
    ends = []
    for target in targets:
        try:
            for address in network.resolve(target.host, timeout):
                ends.append((target, address))
        except network.ResolveError as error:
            problems.append(str(error))

    def problem(end: "tuple[Target, str]") -> "str | None":
        target, address = end
        shown = str(target)
        if address != target.host:
            shown += f" at {address}"
        try:
            if target.protocol == "tcp":
                network.connect(address, target.port, timeout).close()
            else:
                exchange(address, target.port, b"".join(payload), timeout)
        except OSError as error:
            reason = network.why(error)
            if not (isinstance(error, TimeoutError) or error.errno in UNREACHABLE):
                return f"{shown} could not be tried: {reason}"
            return f"{shown} is not reachable: {reason}" if is_wanted else None
        return None if is_wanted else f"{shown} is reachable, and should not be"

    with ThreadPoolExecutor() as pool:
        problems += [found for found in pool.map(problem, ends) if found]
    are = "reachable" if is_wanted else "unreachable"
    summary = f"{words.count(len(targets), 'target')} at {words.count(len(ends), 'address')}"
    return verdict.Verdict(problems, f"{summary}: {are}, as expected")


def a_target(text: str) -> Target:
    """Return what a URL such as tcp://[::1]:80 names; raises ValueError."""
    match = re.fullmatch(r"(tcp|udp)://(?:\[([\w:.%-]+)\]|([^:/\[\]]+)):([1-9][0-9]{0,4})", text)
    if match is None:
        raise ValueError(text)
    protocol, address, name, port = match.groups()
    if int(port) > 65_535:
        raise ValueError(text)
    return Target(protocol, inputs.a_host(address or name), int(port))


def exchange(address: str, port: int, payload: bytes, timeout: float) -> None:
    """Send a datagram and wait for an answer to it; raises OSError where there is none."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout)
        sock.connect((address, port))
        sock.send(payload)
        sock.recv(65_535)


if __name__ == "__main__":
    sys.exit(verdict.run(check))

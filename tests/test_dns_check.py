"""dns_check.py and its way to ask a name server, against real servers on loopback."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from shim.checks.dns_query import ask
from shim.checks.network import ResolveError
from tests.support import dns_server as dns
from tests.support.bundled import run
from tests.support.dns_server import by_zone
from tests.support.servers import closed_port, raw_server

pytestmark = pytest.mark.whole_run

MANY = [("A", f"10.0.{number}.1") for number in range(200)]
ZONE: dns.Zone = {
    "one.test": [("A", "10.0.0.1")],
    "both.test": [("A", "10.0.0.1"), ("A", "10.0.0.2"), ("AAAA", "fd00::1")],
    "six.test": [("AAAA", "fd00::1")],
    "alias.test": [("CNAME", "other.test")],
    "other.test": [("CNAME", "both.test")],
    "many.test": MANY,
    "none.test": [],
    "here.test": [("A", "127.0.0.1"), ("AAAA", "::1")],
    "xn--bcher-kva.test": [("A", "10.0.0.9")],
    "broken.test": 2,
    "refused.test": 5,
    "strange.test": 11,
}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with dns.dns_server(by_zone(ZONE)) as port:
        yield port


@pytest.mark.parametrize(
    ("names", "env", "problems"),
    [
        ("one.test both.test alias.test six.test", {}, []),
        ("ONE.test. bücher.test", {}, []),
        ("many.test", {"MIN_ADDRESSES": "200"}, []),
        ("many.test", {"MIN_ADDRESSES": "201"}, ["many.test has 200 addresses by 127.0.0.1 ("]),
        (
            "both.test",
            {"MIN_ADDRESSES": "4"},
            ["both.test has 3 addresses by 127.0.0.1 (10.0.0.1, 10"],
        ),
        ("both.test", {"MIN_ADDRESSES": "3", "FAMILY": "ipv4"}, ["both.test has 2 addresses"]),
        ("both.test", {"EXPECT_ADDRESSES": "FD00:0::1 10.0.0.2 10.0.0.1"}, []),
        (
            "both.test",
            {"EXPECT_ADDRESSES": "10.0.0.1"},
            ["both.test has the addresses 10.0.0.1, 10.0"],
        ),
        (
            "one.test",
            {"EXPECT_ADDRESSES": "10.0.0.1 10.0.0.2"},
            ["one.test has the addresses 10.0.0.1 by"],
        ),
        (
            "six.test",
            {"FAMILY": "ipv4"},
            ["six.test does not resolve: 127.0.0.1 answered without ipv4"],
        ),
        ("none.test", {}, ["none.test does not resolve: 127.0.0.1 answered without addresses"]),
        (
            "gone.test one.test broken.test refused.test strange.test",
            {},
            [
                "gone.test does not resolve: 127.0.0.1:{port} answered NXDOMAIN",
                "broken.test does not resolve: 127.0.0.1:{port} answered SERVFAIL",
                "refused.test does not resolve: 127.0.0.1:{port} answered REFUSED",
                "strange.test does not resolve: 127.0.0.1:{port} answered with code 11",
            ],
        ),
    ],
)
def test_a_given_resolver(port: int, names: str, env: dict[str, str], problems: list[str]) -> None:
    env = {"RESOLVER": "127.0.0.1", "RESOLVER_PORT": str(port), **env}
    result = run("dns_check.py", NAMES=names, **env)
    lines = result.stderr.splitlines()
    assert len(lines) == len(problems), result
    for line, words in zip(lines, problems):
        assert line.startswith(words.format(port=port))
    assert result.returncode == (1 if problems else 0)
    assert bool(result.stdout) is not bool(problems)


def test_the_systems_resolver() -> None:
    result = run("dns_check.py", NAMES="localhost 127.0.0.1 ::1")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("3 names resolved, to ")


def test_a_resolver_by_its_name_is_all_its_addresses() -> None:
    """As a headless service names every DNS pod: localhost has one that answers and one that does not."""
    with dns.dns_server(by_zone(ZONE)) as port:
        env = {"RESOLVER": "localhost", "RESOLVER_PORT": str(port), "TIMEOUT": "0.5"}
        result = run("dns_check.py", NAMES="one.test", **env)
    if "name servers" in result.stdout:
        pytest.skip("localhost has one address here")
    for line in result.stderr.splitlines():
        assert (
            line
            == f"one.test does not resolve: [::1]:{port} could not be asked: Connection refused"
        )


def test_every_address_answers_at_a_port(port: int) -> None:
    with raw_server(b"", host="127.0.0.1") as four:
        env = {"RESOLVER": "127.0.0.1", "RESOLVER_PORT": str(port), "PORT": str(four)}
        result = run("dns_check.py", NAMES="here.test", **env)
        assert result.stderr == f"[::1]:{four} does not answer: Connection refused\n"
        result = run("dns_check.py", NAMES="here.test", FAMILY="ipv4", **env)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == (
        f"1 name resolved, to 1 address, which answered on port {four}, by 1 name server\n"
    )


def test_a_server_on_ipv6() -> None:
    with dns.dns_server(by_zone(ZONE), "::1") as port:
        assert ask("six.test", "ipv6", "::1", 5, port) == ["fd00::1"]
        with pytest.raises(ResolveError, match=rf"\[::1\]:{port} answered NXDOMAIN"):
            ask("gone.test", "ipv6", "::1", 5, port)


def test_an_answer_too_large_for_a_packet_comes_by_tcp() -> None:
    kinds = []

    def respond(question: bytes, is_tcp: bool) -> bytes | None:
        kinds.append(is_tcp)
        return by_zone(ZONE)(question, is_tcp)

    with dns.dns_server(respond) as port:
        assert ask("many.test", "ipv4", "127.0.0.1", 5, port) == [address for _, address in MANY]
    assert kinds == [False, True]


def test_a_packet_that_is_lost_is_sent_again() -> None:
    questions = []

    def respond(question: bytes, is_tcp: bool) -> bytes | None:
        questions.append(question)
        return by_zone(ZONE)(question, is_tcp) if len(questions) == 2 else None

    with dns.dns_server(respond) as port:
        assert ask("one.test", "ipv4", "127.0.0.1", 1.5, port) == ["10.0.0.1"]
    assert questions[0] == questions[1]


def test_answers_to_others_are_passed_over() -> None:
    """An answer with another id, to another question, or that is a question itself."""

    def respond(question: bytes, is_tcp: bool) -> bytes | None:
        good = by_zone(ZONE)(question, is_tcp)
        return good and {0: b"\xff" + good[1:], 1: question, 2: good}[question[1] % 3]

    with dns.dns_server(respond) as port:
        for _ in range(12):
            try:
                assert ask("one.test", "ipv4", "127.0.0.1", 0.15, port) == ["10.0.0.1"]
            except ResolveError as error:
                assert "could not be asked: no answer in time" in str(error)


def truncated(question: bytes, is_tcp: bool) -> bytes:
    return dns.reply(question, [], 0 if is_tcp else dns.TRUNCATED)


LOOP = b"\xc0\x0c"


@pytest.mark.parametrize(
    ("respond", "words"),
    [
        (lambda question, is_tcp: None, "could not be asked: no answer in time"),
        (lambda question, is_tcp: b"rubbish", "could not be asked: no answer in time"),
        (lambda question, is_tcp: dns.reply(question, [])[:11], "no answer in time"),
        (
            lambda question, is_tcp: dns.reply(question, [dns.record(LOOP, "A", "10.0.0.1")[:-1]]),
            "its answer breaks off",
        ),
        (lambda question, is_tcp: dns.reply(question, [LOOP]), "none by RFC 1035"),
        (lambda question, is_tcp: dns.reply(question, [b"\x05ab"]), "a name that breaks off"),
        (lambda question, is_tcp: dns.reply(question, [b"\x80" * 200]), "a name that breaks off"),
        (
            lambda question, is_tcp: dns.reply(
                question, [struct.pack("!H", 0xC000 + len(question))]
            ),
            "a name that points to itself",
        ),
        (
            lambda question, is_tcp: None if is_tcp else dns.reply(question, [], dns.TRUNCATED),
            "hung up in the middle",
        ),
        (
            lambda question, is_tcp: (
                b"other question" if is_tcp else dns.reply(question, [], dns.TRUNCATED)
            ),
            "by TCP not to this question",
        ),
        # An address that belongs to another name, and one of three bytes.
        (
            lambda question, is_tcp: dns.reply(
                question, [dns.record(dns.encode("x.test"), "A", "10.0.0.1")]
            ),
            "",
        ),
        (
            lambda question, is_tcp: dns.reply(
                question, [LOOP + struct.pack("!2HIH", 1, 1, 1, 3) + b"abc"]
            ),
            "none by RFC 1035",
        ),
        (
            lambda question, is_tcp: dns.reply(question, [dns.record(LOOP, "CNAME", "one.test")]),
            "",
        ),
        (truncated, ""),
    ],
)
def test_odd_answers(respond: dns.Respond, words: str) -> None:
    with dns.dns_server(respond) as port:
        if words:
            with pytest.raises(ResolveError, match=words):
                ask("one.test", "ipv4", "127.0.0.1", 0.4, port)
        else:
            assert ask("one.test", "ipv4", "127.0.0.1", 0.4, port) == []


def test_nobody_there() -> None:
    port = closed_port()
    with pytest.raises(ResolveError, match="could not be asked: Connection refused"):
        ask("one.test", "ipv4", "127.0.0.1", 1, port)

"""Performance data of plugins."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from shim.observe.perfdata import UNITS, Value, parse
from tests.support.servers import web_server

V = Value


@pytest.mark.parametrize(
    ("output", "values"),
    [
        ("OK - fine", []),
        ("OK | time=0.25s;1;2;0;10", [Value("time", "seconds", 0.25)]),
        ("OK |'a b'=5% x=-1.5ms;;", [Value("a b", "ratio", 0.05), Value("x", "seconds", -0.0015)]),
        (
            "OK | /=2KB;3;4 'it''s'=2c",
            [Value("/", "bytes", 2000), Value("it's", "total", 2)],
        ),
        ("OK | a=1\nlong | b=2\nc=3", [Value("a", "", 1), Value("b", "", 2), Value("c", "", 3)]),
        ("OK | a=U b=1,5s c=", [Value("b", "seconds", 1.5)]),
        (
            "OK | a=.33s b=-.5 c=5. d=+7",
            [V("a", "seconds", 0.33), V("b", "", -0.5), V("c", "", 5), V("d", "", 7)],
        ),
        ("OK | a=1.2e-05s b=1E+3B", [V("a", "seconds", 1.2e-05), V("b", "bytes", 1000)]),
        (
            "OK | a=1kB b=1KB c=1KiB",
            [V("a", "bytes", 1e3), V("b", "bytes", 1e3), V("c", "bytes", 1024)],
        ),
        ("OK | a=1MB b=1MiB;;", [V("a", "bytes", 1e6), V("b", "bytes", 1 << 20)]),
        ("OK | a=1GB b=1GiB", [V("a", "bytes", 1e9), V("b", "bytes", 1 << 30)]),
        ("OK | a=1TB b=1TiB", [V("a", "bytes", 1e12), V("b", "bytes", 1 << 40)]),
        ("OK | a=1PB b=1PiB", [V("a", "bytes", 1e15), V("b", "bytes", 1 << 50)]),
        ("OK | a=1EB b=1EiB", [V("a", "bytes", 1e18), V("b", "bytes", 1 << 60)]),
        ("OK | a=1us b=1ns", [V("a", "seconds", 1e-6), V("b", "seconds", 1e-9)]),
        # An unknown unit is told, and not passed off as none.
        ("OK | a=21.5°C b=3kB/s", [V("a", "°C", 21.5), V("b", "kB/s", 3)]),
        ("OK | a=1.2.3 b=1=2 c=x d=. e=- f=1e g=3", [V("f", "e", 1), V("g", "", 3)]),
        # As Nagios does it, lines that are no data are no data.
        (
            "OK | a=1\nlong | b=2\nc=3 d=U\nlast words=1\ne=4",
            [V("a", "", 1), V("b", "", 2), V("c", "", 3), V("e", "", 4)],
        ),
        ("OK | a=1\nb=2", [V("a", "", 1)]),
        ("\n \nOK | a=1\nb=2", [V("a", "", 1)]),
        ("OK\nlong\nmore | a=1 | b=2\nc=3", [V("a", "", 1), V("b", "", 2), V("c", "", 3)]),
        ("OK | " + "'' " * 40_000 + " b=1", [V("b", "", 1)]),
        (f"OK\n|\n{'a=1 ' * 40_000}x", []),
        (f"OK | {'a' * 120_000} b=1", [Value("b", "", 1)]),
    ],
    ids=lambda value: None if isinstance(value, list) else value[:40],
)
@pytest.mark.timeout(10)
def test_performance_data(output: str, values: list[Value]) -> None:
    assert parse(output.encode().split(b"\n")) == values


def test_performance_data_in_another_encoding() -> None:
    assert parse([b"OK | a=1 \xe4=2"]) == [Value("a", "", 1), Value("\ufffd", "", 2)]


# Prints what the Perl module that plugins are written with makes of a line: label, value, unit.
PERL = """
use Monitoring::Plugin::Performance;
binmode STDOUT, ":raw";
while (<STDIN>) {
    chomp;
    printf "%s\\t%s\\t%s\\n", $_->label, $_->value, $_->uom
        for Monitoring::Plugin::Performance->parse_perfstring($_);
}
"""


def by_perl(data: str) -> list[Value]:
    command = ["perl", "-MMonitoring::Plugin::Performance", "-e", PERL]
    result = subprocess.run(command, input=data.encode(), capture_output=True)
    if result.returncode and b"Can't locate Monitoring/Plugin" in result.stderr:
        pytest.skip("needs Debian's libmonitoring-plugin-perl")
    assert result.returncode == 0, result.stderr
    values = []
    for line in result.stdout.decode().splitlines():
        label, value, written = line.split("\t")
        unit, factor = UNITS.get(written, (written, 1.0))
        values.append(Value(label, unit, float(value) * factor))
    return values


PLUGIN_RUNS = [
    "check_apt",
    "check_disk -w 1% -c 1%",
    "check_disk -w 1% -c 1% -p / -u kB",
    "check_disk -w 1% -c 1% -W 1% -K 1% -p /",
    "check_dummy 0 nothing",
    "check_file_age /etc/passwd",
    "check_http -H 127.0.0.1 -p {port}",
    "check_icmp 127.0.0.1",
    "check_load -w 100,100,100 -c 200,200,200",
    "check_ntp_time -H 127.0.0.1 -t 2",
    "check_ping -H 127.0.0.1 -w 100,50% -c 200,60% -p 1",
    "check_procs -w 1000 -c 2000",
    "check_procs -m CPU -w 1000 -c 2000",
    "check_ssh 127.0.0.1",
    "check_swap -w 1% -c 1%",
    "check_tcp -H 127.0.0.1 -p {port}",
    "check_users -w 20 -c 50",
]


@pytest.mark.whole_run
@pytest.mark.parametrize("run", PLUGIN_RUNS)
def test_performance_data_of_real_plugins_as_perl_reads_it(plugins: Path, run: str) -> None:
    with web_server() as url:
        program, *args = run.format(port=url.rpartition(":")[2]).split()
        result = subprocess.run([plugins / program, *args], capture_output=True)
    data = b" ".join(line.partition(b"|")[2] for line in result.stdout.split(b"\n"))
    assert parse(result.stdout.split(b"\n")) == by_perl(data.decode())


@pytest.mark.parametrize(
    "data",
    [
        "/=382MB;15264;15269;; /var=218MB;9443;9448",
        "'a b'=5%;1;2 c=.33s d=-.5 e=5. f=1.2e-05s g=1,5",
        "users=4;20;50;0 load1=0.000;5.000;10.000;0; 'C:\\ used'=12.5GiB;~:5;@1:2",
        "a=1kB b=1KiB c=1MiB d=1TiB e=1PB f=7c",
        "x=U y=3",
    ],
)
def test_performance_data_as_perl_reads_it(data: str) -> None:
    assert parse([f"OK | {data}".encode()]) == by_perl(data)

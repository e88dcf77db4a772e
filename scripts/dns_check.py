#!/opt/khshim/bin/python3
"""dns_check.py - do names resolve, to the right addresses, by the right name server?

NAMES             the names, separated by blanks                             (required)
RESOLVER          the name server to ask: an address, or a name all of whose
                  addresses are asked; names are then taken as they are,
                  without search domains                                     (default: the system's)
RESOLVER_PORT     its port                                                   (default: 53)
FAMILY            which addresses count: any, ipv4 or ipv6                   (default: any)
MIN_ADDRESSES     how many of them each name must have                       (default: 1)
EXPECT_ADDRESSES  the addresses, separated by blanks, that each name must
                  have, and no others                                        (default: any)
PORT              a TCP port at which each address must answer               (default: none)
TIMEOUT           seconds for each answer, at least 0.1                      (default: 5)

It ends with 1 where a name does not resolve as it should, with 2 for a wrong value.

Example: khshim manifest dns_check.py --interval 2m --timeout 1m
    --env 'NAMES=kubernetes.default.svc example.org'
Replaces: dns-resolution-check
"""

import sys
from concurrent.futures import ThreadPoolExecutor

from shim.checks import dns_query, inputs, network, verdict, words


def check() -> verdict.Verdict:
    hosts = "host names, separated by blanks"
    names = inputs.items("NAMES", inputs.a_host, hosts)
    resolver = inputs.host("RESOLVER", "") if inputs.is_set("RESOLVER") else None
    resolver_port = inputs.port("RESOLVER_PORT", str(dns_query.PORT))
    family = inputs.choice("FAMILY", tuple(network.FAMILIES), "any")
    least = inputs.whole_number("MIN_ADDRESSES", "1", 1, 10_000)
    addresses = "addresses, separated by blanks"
    expected = inputs.items("EXPECT_ADDRESSES", inputs.an_address, addresses, "")
    port = inputs.port("PORT") if inputs.is_set("PORT") else None
    timeout = inputs.number("TIMEOUT", "5", 0.1, 9999)

    servers = network.resolve(resolver, timeout) if resolver else [None]
    problems = []
    found: dict[str, None] = {}
    for server in servers:
        by = f" by {server}" if server else ""
        for name in names:
            try:
                has = addresses_of(name, server, resolver_port, family, timeout)
            except network.ResolveError as error:
                problems.append(str(error))
                continue
            found.update(dict.fromkeys(has))
            if len(has) < least:
                problems.append(
                    f"{name} has {words.count(len(has), 'address')}{by} ({words.listed(has)}),"
                    f" wanted are {least}"
                )
            if expected and {inputs.an_address(one) for one in has} != set(expected):
                problems.append(
                    f"{name} has the addresses {words.listed(has)}{by}, expected are"
                    f" {words.listed(expected)}"
                )
    if port is not None:
        problems += refusals(list(found), port, timeout)
    return verdict.Verdict(
        problems,
        f"{words.count(len(names), 'name')} resolved, to {words.count(len(found), 'address')}"
        + (f", which answered on port {port}" if port else "")
        + (f", by {words.count(len(servers), 'name server')}" if resolver else ""),
    )


def addresses_of(
    name: str, server: "str | None", port: int, family: str, timeout: float
) -> "list[str]":
    """Return the addresses of a name; raises ResolveError, also where it has none."""
    if server is None:
        return network.resolve(name, timeout, family)
    families = dns_query.TYPES if family == "any" else (family,)
    found = [
        address for one in families for address in dns_query.ask(name, one, server, timeout, port)
    ]
    if not found:
        what = "" if family == "any" else f"{family} "
        raise network.ResolveError(
            f"{name} does not resolve: {server} answered without {what}addresses"
        )
    return found


def refusals(addresses: "list[str]", port: int, timeout: float) -> "list[str]":
    """Return what is to be said of the addresses at which the port does not answer."""

    def refusal(address: str) -> "str | None":
        try:
            network.connect(address, port, timeout).close()
        except OSError as error:
            return f"{network.shown(address, port)} does not answer: {network.why(error)}"
        return None

    with ThreadPoolExecutor() as pool:
        return [problem for problem in pool.map(refusal, addresses) if problem]


if __name__ == "__main__":
    sys.exit(verdict.run(check))

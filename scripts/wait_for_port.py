#!/opt/khshim/bin/python3
"""wait_for_port.py - does a TCP port accept connections before the time is up?

HOST      whom to connect to, a name or an address      (default: localhost)
PORT      which port                                    (required)
INTERVAL  seconds between attempts, at least 0.1        (default: 1)

It waits as long as it may: khshim stops it before the check's deadline, and the last
lines it wrote then say why the port could not be reached. It ends with 2 for a wrong value.

Example: khshim manifest wait_for_port.py --interval 5m --timeout 1m --env HOST=db.shop.svc --env PORT=5432
"""

import sys
import time

from shim.checks import inputs, network, verdict

TIMEOUT_S = 5


def check() -> verdict.Verdict:
    host, port = inputs.host("HOST", "localhost"), inputs.port("PORT")
    interval = inputs.number("INTERVAL", "1", 0.1, 9999)
    address = network.shown(host, port)
    while True:
        try:
            network.connect(host, port, TIMEOUT_S).close()
            return verdict.Verdict([], f"{address} accepts connections")
        except OSError as error:
            why = error.strerror or str(error)
            print(f"{address} does not answer: {why}", file=sys.stderr, flush=True)
        time.sleep(interval)


if __name__ == "__main__":
    sys.exit(verdict.run(check))

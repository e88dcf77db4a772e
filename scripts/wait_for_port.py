#!/usr/bin/env python3
"""wait_for_port.py - does a TCP port accept connections before the time is up?

  HOST      whom to connect to                            (default: localhost)
  PORT      which port                                    (required)
  INTERVAL  seconds between attempts                      (default: 1)

It waits as long as it may: khshim stops it before the check's deadline, and the last
lines it wrote then say why the port could not be reached.
"""

import os
import socket
import sys
import time


def main() -> int:
    host, port = os.environ.get("HOST", "localhost"), os.environ.get("PORT", "")
    interval = float(os.environ.get("INTERVAL", "1"))
    if not port.isdecimal():
        print("PORT is not set to a number: name the port to wait for", file=sys.stderr)
        return 2
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except OSError as error:
            print(
                f"{host}:{port} does not answer: {error.strerror or error}",
                file=sys.stderr,
                flush=True,
            )
            time.sleep(interval)
        else:
            print(f"{host}:{port} accepts connections")
            return 0


if __name__ == "__main__":
    sys.exit(main())

"""Measures commands beside each other inside a container; bench/run.py starts it there.

Takes the number of rounds, a script that writes to descriptor 9, and a JSON object of commands;
prints a JSON object: for each, the median seconds to that write, of CPU in all, and of the whole.
"""

import json
import os
import statistics
import sys
import time

SIGNAL_FD = 9


def measure(argv: "list[str]") -> "tuple[float, float, float]":
    reader, writer = os.pipe()
    os.dup2(writer, SIGNAL_FD)
    os.close(writer)
    quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
    started_at = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=quiet)
    os.close(SIGNAL_FD)
    os.read(reader, 1)
    first = time.perf_counter() - started_at
    usage = os.wait4(pid, 0)[2]
    os.close(reader)
    return first, usage.ru_utime + usage.ru_stime, time.perf_counter() - started_at


def main() -> None:
    rounds, commands = int(sys.argv[1]), json.loads(sys.argv[2])
    results: "dict[str, list[tuple[float, float, float]]]" = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, argv in commands.items():
            value = measure(argv)
            if number:  # the first one warms up
                results[name].append(value)
    medians = {
        name: [statistics.median(column) for column in zip(*values)]
        for name, values in results.items()
    }
    print(json.dumps(medians))


main()

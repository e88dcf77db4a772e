"""Measures khshim side by side with its peers, in one run on one machine: `make bench`.

Every figure is the median of interleaved rounds (A B C, A B C, …), so that a machine whose
speed drifts treats all alike. What counts are the ratios. Writes docs/BENCHMARKS.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from peers import CURL_AT_THE_END, OFFICIAL_STYLE, SAME_LIBRARIES, SMALL_PARENT, SPAWN, wrappers

import shim

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "BENCHMARKS.md"
SIGNAL_FD = 9  # a script says "here I am" by writing to this descriptor
GIBIBYTE = 2**30
IMAGE = "localhost/khshim:" + shim.__version__
PODMAN = ["podman", "--storage-driver=overlay", f"--runtime={shutil.which('runc') or 'runc'}"]


class Server:
    """Takes every report, and counts them; `up` says whether it answers yet."""

    def __init__(self) -> None:
        self.accepted: list[float] = []
        self.seen: list[float] = []
        self.up = threading.Event()
        self.up.set()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                server.seen.append(time.monotonic())
                if server.up.is_set():
                    server.accepted.append(time.monotonic())
                self.send_response(200 if server.up.is_set() else 503)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Http(ThreadingHTTPServer):
            request_queue_size = 1024

        http = Http(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{http.server_address[1]}/check"
        threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True).start()

    def environ(self, timeout: float = 60) -> dict[str, str]:
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
            "KH_REPORTING_URL": self.url,
            "KH_RUN_UUID": "4a6c63f2-7f52-4d68-9d3a-6c0a2a0e3c4d",
            "KH_CHECK_RUN_DEADLINE": str(int(time.time() + timeout)),
        }


class Bench:
    def __init__(self, work: Path, rounds: int) -> None:
        self.work = work
        self.rounds = rounds
        self.server = Server()
        self.python = install(work)
        self.khshim = str(Path(self.python).parent / "khshim")
        self.lines: list[str] = []

    def script(self, name: str, text: str) -> str:
        path = self.work / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    def wall(self, command: list[str], **extra: str) -> float:
        environ = {**self.server.environ(), **extra}
        started_at = time.perf_counter()
        subprocess.run(
            command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
        )
        return time.perf_counter() - started_at

    def until_first_instruction(self, command: list[str]) -> float:
        reader, writer = os.pipe()
        os.dup2(writer, SIGNAL_FD)
        os.close(writer)
        environ = self.server.environ()
        started_at = time.perf_counter()
        process = subprocess.Popen(
            command,
            env=environ,
            pass_fds=(SIGNAL_FD,),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(SIGNAL_FD)
        os.read(reader, 1)
        elapsed = time.perf_counter() - started_at
        os.close(reader)
        process.wait()
        return elapsed

    def interleaved(
        self,
        measure: Callable[[list[str]], float],
        commands: Mapping[str, list[str]],
        rounds: int | None = None,
    ) -> dict[str, float]:
        """Return the median of each command over interleaved rounds, after a warm-up."""
        results: dict[str, list[float]] = {name: [] for name in commands}
        for number in range((rounds or self.rounds) + 1):
            for name, command in commands.items():
                value = measure(command)
                if number:
                    results[name].append(value)
        return {name: statistics.median(values) for name, values in results.items()}

    def say(self, text: str = "") -> None:
        print(text, flush=True)
        self.lines.append(text)

    def table(self, title: str, header: str, rows: Sequence[tuple[str, ...]]) -> None:
        self.say(f"\n## {title}\n")
        columns = header.split("|")
        self.say(f"| {' | '.join(columns)} |")
        self.say(f"| {' | '.join('---' if n == 0 else '---:' for n in range(len(columns)))} |")
        for row in rows:
            self.say(f"| {' | '.join(row)} |")

    def time_to_script(self) -> None:
        first = self.script("first.sh", f"echo >&{SIGNAL_FD}")
        isolated = [self.python, "-I", "-c"]
        bare = {"bare interpreter, whole run": [*isolated, "pass"]}
        imports = (
            "import urllib3, pythonjsonlogger.json, subprocess;"
            f"subprocess.run([{first!r}], close_fds=False)"
        )
        commands = {
            "khshim": [self.khshim, first],
            "an interpreter that only starts the script": [*isolated, SPAWN, first],
            "the same after `import signal`": [*isolated, f"import signal; {SPAWN}", first],
            "the same after `import _signal`": [*isolated, f"import _signal; {SPAWN}", first],
            "importing urllib3 and the logger first": [*isolated, imports],
            "the script alone": [first],
            **{name: [*command, first] for name, command in wrappers().items()},
        }

        def measure(command: list[str]) -> float:
            if command == bare["bare interpreter, whole run"]:
                return self.wall(command)
            return self.until_first_instruction(command)

        results = self.interleaved(measure, {**bare, **commands})
        base = results["bare interpreter, whole run"]
        rows = [(name, ms(value), f"{value / base:.2f}") for name, value in results.items()]
        self.table("1. Time to the script's first instruction", "command|ms|ratio", rows)
        ratio = results["importing urllib3 and the logger first"] / results["khshim"]
        self.say(f"\nkhshim / bare: **{results['khshim'] / base:.2f}** (at most 1.6)."
                 f" Importing first / khshim: **{ratio:.1f}** (at least 4).")  # fmt: skip

    def whole_run(self) -> None:
        for seconds, title in ((0.3, "a script of 0.3 s"), (0.0, "a script of 0 ms")):
            script = self.script(f"run{seconds}.sh", f"sleep {seconds}" if seconds else ":")
            official = self.work / f"official{seconds}.py"
            official.write_text(OFFICIAL_STYLE.format(script=script))
            same_libraries = [self.python, "-I", "-c", SAME_LIBRARIES]
            results = self.interleaved(
                self.wall,
                {
                    "bare interpreter": [self.python, "-I", "-c", "pass"],
                    "the script alone": [script],
                    "khshim": [self.khshim, script],
                    "official-style Python check": [self.python, "-I", str(official)],
                    "urllib3 and the logger, and nothing else": [*same_libraries, script],
                    "bash and curl": ["bash", "-c", CURL_AT_THE_END, "bash", script],
                },
            )
            bare, alone = results["bare interpreter"], results["the script alone"]
            rows = [
                (name, ms(value), ms(value - alone), f"{(value - alone) / bare:.2f}")
                for name, value in results.items()
                if name != "bare interpreter"
            ]
            self.table(
                f"2. Overhead of a whole run: {title}",
                "command|wall, ms|beyond the script, ms|of a bare interpreter",
                [("bare interpreter", ms(bare), "–", "1.00"), *rows],
            )
            if seconds:
                ratio = (results["khshim"] - alone) / bare
                self.say(f"\nOverhead / bare: **{ratio:.2f}** (at most 1.5).")
            else:
                official_time = results["official-style Python check"]
                floor = results["urllib3 and the logger, and nothing else"]
                self.say(
                    "\nkhshim / official-style Python check:"
                    f" **{results['khshim'] / official_time:.2f}** (at most 1.25). The same with urllib3"
                    f" and the logger, and nothing else: {floor / official_time:.2f}."
                )

    def throughput(self) -> None:
        rows = []
        for name, line in (("30 bytes", 30), ("1 MiB", 2**20)):
            source = self.work / "line"
            source.write_bytes(b"x" * (line - 1) + b"\n")
            repeated = self.work / "flood"
            repeated.write_bytes(source.read_bytes() * max(1, 16 * 2**20 // line))
            loops = GIBIBYTE // repeated.stat().st_size
            flood = f"i=0; while [ $i -lt {loops} ]; do cat {repeated}; i=$((i+1)); done"
            script = self.script("flood.sh", f"{{ {flood}; }} >&2")
            sink = f"{self.work}/tee-copy"
            results = self.interleaved(
                self.wall,
                {
                    "khshim": ["sh", "-c", f"{self.khshim} {script} 2>&1 | cat >/dev/null"],
                    "tee": ["sh", "-c", f"{script} 2>&1 | tee {sink} | cat >/dev/null"],
                    "tee to /dev/null": [
                        "sh",
                        "-c",
                        f"{script} 2>&1 | tee /dev/null | cat >/dev/null",
                    ],
                },
                rounds=5,
            )
            Path(sink).unlink(missing_ok=True)
            speeds = {key: GIBIBYTE / value / 1e6 for key, value in results.items()}
            rows.append((name, *(f"{speed:.0f}" for speed in speeds.values()),
                         f"{speeds['khshim'] / speeds['tee']:.2f}",
                         f"{speeds['khshim'] / speeds['tee to /dev/null']:.2f}"))  # fmt: skip
        self.table(
            "3. Throughput: 1 GiB of stderr through a pipe",
            "lines of|khshim, MB/s|tee to a file, MB/s|tee to /dev/null, MB/s|khshim / tee"
            "|khshim / tee to /dev/null",
            rows,
        )
        self.say("\nWanted: at least 0.8 of tee, with short lines and long ones alike.")

    def memory(self) -> None:
        rows = []
        peaks = []
        for name, text in (
            ("one line", "echo x >&2"),
            (
                "1 GiB, lines of 30 bytes",
                "yes 12345678901234567890123456789 | head -c 1073741824 >&2",
            ),
            ("1 GiB, one line", "head -c 1073741824 /dev/zero >&2"),
        ):
            script = self.script("memory.sh", f"{text}\nexit 1")
            # Started by something small: ru_maxrss also counts what a process was before exec.
            result = subprocess.run(
                [self.python, "-I", "-S", "-c", SMALL_PARENT, self.khshim, script],
                env=self.server.environ(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                check=True,
            )
            peaks.append(int(result.stdout) / 1024)
            rows.append((name, f"{peaks[-1]:.1f}", f"{peaks[-1] - peaks[0]:+.1f}"))
        self.table(
            "4. Memory: resident size at its peak, a report sent",
            "stderr|MiB|against one line",
            rows,
        )
        self.say("\nWanted: under 28 MiB, and at most 2 MiB more after 1 GiB.")

    def idle(self) -> None:
        strace = shutil.which("strace")
        if strace is None:
            self.say("\n## 5. Idle\n\nNot measured: strace is not installed.")
            return
        script = self.script("idle.sh", "exec sleep 4")
        log = self.work / "strace"
        command = [strace, "-f", "-ttt", "-o", str(log), self.khshim, script]
        subprocess.run(command, env=self.server.environ(), capture_output=True, check=False)
        calls = [line.split(None, 2) for line in log.read_text().splitlines()]
        first = float(calls[0][1])
        busy = [call for call in calls if 2.0 < float(call[1]) - first < 3.5]
        self.say("\n## 5. Idle: a script that sleeps\n")
        self.say(
            f"System calls of khshim and its threads in 1.5 s of waiting (strace -f): **{len(busy)}**."
        )

    def exactness(self) -> None:
        script = self.script("stubborn.sh", "trap '' TERM\nwhile :; do sleep 1000; done")
        hogs = [
            subprocess.Popen([sys.executable, "-c", "while True: pass"])
            for _ in range(os.cpu_count() or 1)
        ]
        late: list[float] = []
        left: list[float] = []

        def one(_: int) -> None:
            deadline = int(time.time() + 4)
            environ = self.server.environ() | {
                "KH_CHECK_RUN_DEADLINE": str(deadline), "SHIM_TIMEOUT": "600ms", "SHIM_GRACE_PERIOD": "200ms",
                "SHIM_REPORT_RESERVE": "500ms",
            }  # fmt: skip
            result = subprocess.run(
                [self.khshim, script], env=environ, capture_output=True, check=False
            )
            [ended] = re.findall(
                rb'"event": "script_timed_out".*"duration_s": ([0-9.]+)', result.stderr
            )
            late.append(float(ended) - 0.8)
            left.append(deadline - time.time())
            assert result.returncode == 0, result.stderr

        try:
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(one, range(200)))
        finally:
            for hog in hogs:
                hog.kill()
                hog.wait()
        self.say("\n## 6. Exactness: 200 scripts that ignore SIGTERM, all cores loaded\n")
        self.say(
            f"Dead after the moment of SIGKILL: median {ms(statistics.median(late))} ms, worst"
            f" **{ms(max(late))} ms** (at most 50). Reports accepted before the deadline:"
            f" **{sum(x > 0 for x in left)} of {len(left)}**, the latest {min(left):.2f} s before it."
        )

    def scale(self) -> None:
        script = self.script("scale.sh", "sleep 2")
        before = len(self.server.accepted)
        environ = self.server.environ(120)
        used_before = os.times()
        started_at = time.monotonic()
        processes = [
            subprocess.Popen(
                [self.khshim, script],
                env=environ,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for _ in range(200)
        ]
        running = [p.pid for p in processes]
        memory = sum(proportional_memory(pid) for pid in running)
        statuses = [process.wait() for process in processes]
        took = time.monotonic() - started_at
        used = os.times()
        cpu = (
            used.children_user
            + used.children_system
            - used_before.children_user
            - used_before.children_system
        )
        self.say("\n## 7. Scale: 200 at once, one receiver\n")
        self.say(
            f"Reports accepted: **{len(self.server.accepted) - before} of 200**, exit statuses"
            f" {sorted(set(statuses))}. All done after {took:.1f} s, of which each script takes 2; CPU"
            f" {cpu:.1f} s in all, {cpu / 200 * 1000:.0f} ms a run;"
            f" memory (PSS) {memory / 2**20:.0f} MiB in all, {memory / 200 / 2**20:.1f} MiB each."
        )
        self.stampede()

    def stampede(self) -> None:
        script = self.script("quick.sh", ":")
        self.server.up.clear()
        before, seen_before = len(self.server.accepted), len(self.server.seen)
        processes = [
            subprocess.Popen(
                [self.khshim, script],
                env=self.server.environ(120),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for _ in range(100)
        ]
        # Back only once each of them has been turned away more than twice.
        while len(self.server.seen) - seen_before < 300:
            time.sleep(0.05)
        back = time.monotonic()
        self.server.up.set()
        for process in processes:
            process.wait()
        arrivals = [at - back for at in self.server.accepted[before:]]
        worst = max(sum(start <= at < start + 0.1 for at in arrivals) for start in arrivals)
        self.say(
            f"\nA receiver that comes back for 100 of them: all {len(arrivals)} reports arrive within"
            f" {max(arrivals):.1f} s, the middle half from {statistics.quantiles(arrivals)[0]:.2f} to"
            f" {statistics.quantiles(arrivals)[2]:.2f} s; at most {worst} in any 100 ms."
        )

    def image(self) -> None:
        built = subprocess.run(
            [ROOT / "tests" / "image" / "prepare"], capture_output=True, check=False
        )
        if built.returncode:
            self.say(f"\n## 8. Image\n\nNot measured: {built.stderr.decode().strip()}")
            return
        folder = self.work / "checks"
        folder.mkdir()
        for name, text in (
            ("now.sh", "echo now=$EPOCHREALTIME"),
            ("first.sh", f"echo >&{SIGNAL_FD}"),
        ):
            (folder / name).write_text(f"#!/bin/bash\n{text}\n")
            (folder / name).chmod(0o755)
        folder.chmod(0o755)
        run = [*PODMAN, "run", "--rm", "--network=host", "--ulimit=nofile=1024:1024",
               "--ulimit=nproc=4096:4096", f"--volume={folder}:/checks:ro"]  # fmt: skip
        run += [f"--env={name}={value}" for name, value in self.server.environ(3600).items()
                if name.startswith("KH_")]  # fmt: skip
        self.start_of_a_container(run)
        self.runtime(run)

    def start_of_a_container(self, run: list[str]) -> None:
        def until_first_instruction(command: list[str]) -> float:
            started_at = time.time()
            result = subprocess.run(command, capture_output=True, check=True)
            [now] = re.findall(rb"now=([0-9.]+)", result.stdout)
            return float(now) - started_at

        python = "/opt/khshim/bin/python3"
        results = self.interleaved(
            until_first_instruction,
            {
                "khshim": [*run, IMAGE, "now.sh"],
                "the script alone": [*run, "--entrypoint=/checks/now.sh", IMAGE],
                "an interpreter that only starts the script": [
                    *run, f"--entrypoint={json.dumps([python, '-I', '-c', SPAWN])}", IMAGE, "/checks/now.sh",
                ],
            },
        )  # fmt: skip
        alone = results["the script alone"]
        self.table(
            "8. Image: from `podman run` to the script's first instruction",
            "the container runs|ms|ratio|beyond the script alone, ms",
            [(n, ms(v), f"{v / alone:.2f}", ms(v - alone)) for n, v in results.items()],
        )

    def runtime(self, run: list[str]) -> None:
        """Measure the runtime beside the same khshim in a virtual environment, in one container."""
        both = "localhost/khshim-bench"
        subprocess.run(
            ["buildah", "--storage-driver=overlay", "build", "--isolation=chroot", "--pull-never",
             "--network=host", "--layers", f"--build-arg=IMAGE={IMAGE}", "--file=bench/Dockerfile",
             f"--tag={both}", "."],
            cwd=ROOT, capture_output=True, check=True,
        )  # fmt: skip
        script = "/checks/first.sh"
        commands = {
            "the script alone": [script],
            "khshim in its runtime": ["/opt/khshim/bin/khshim", script],
            "khshim in a virtual environment": ["/opt/venv/bin/khshim", script],
            "an interpreter that does nothing": [
                "/bin/sh", "-c", f"{script}; exec /usr/bin/python3 -I -c pass",
            ],
        }  # fmt: skip
        driver = f"--volume={ROOT / 'bench' / 'in_container.py'}:/in_container.py:ro"
        inside = [*run, driver, "--entrypoint=/opt/khshim/bin/python3", both, "/in_container.py"]
        output = subprocess.run(
            [*inside, str(self.rounds), json.dumps(commands)], capture_output=True, check=True
        ).stdout
        results = json.loads(output)
        self.table(
            "9. The runtime beside a virtual environment, in one container, with one version of Python",
            "command|to the script's first instruction, ms|CPU of a run, ms|whole run, ms",
            [(name, *map(ms, values)) for name, values in results.items()],
        )
        own, other = (
            results["khshim in its runtime"],
            results["khshim in a virtual environment"],
        )
        self.say(
            f"\nRuntime / virtual environment: **{own[0] / other[0]:.2f}** to the first instruction,"
            f" **{own[1] / other[1]:.2f}** of the CPU (at most 1)."
        )
        rows = []
        for what, image in (
            ("the runtime image", f"{IMAGE}-runtime"),
            ("the default image", IMAGE),
        ):
            size, compressed = sizes(image)
            rows.append((what, f"{size / 1e6:.1f}", f"{compressed / 1e6:.1f}"))
        self.table("10. Size", "image|MB|MB as gzip", rows)
        self.say("\nWanted: at most 12 MB for the compressed runtime image.")

    def folder(self) -> None:
        """Many scripts in one pod beside a pod for each, and the time when some hang."""
        scripts, at_once, seconds = 200, 4, 120.0
        path = self.scripts_in_folder("folder", scripts, "sleep 0.1\n")
        before = len(self.server.accepted)
        one = self.measured([[self.khshim, path]], at_once, seconds)
        many = self.measured(
            [[self.khshim, f"{path}/{name}"] for name in sorted(os.listdir(path))], at_once, seconds
        )
        accepted = len(self.server.accepted) - before
        rows = [
            (
                what,
                f"{took:.1f}",
                f"{cpu:.2f}",
                f"{cpu / scripts * 1000:.1f}",
                f"{memory / 2**20:.0f}",
            )
            for what, (took, cpu, memory) in {
                f"one pod for {scripts} scripts": one,
                f"{scripts} pods, {at_once} at a time": many,
            }.items()
        ]
        self.table(
            f"11. Many scripts in one pod: {scripts} that sleep for 0.1 s, {at_once} at a time",
            "what runs|all, s|CPU, s|CPU a script, ms|memory at its peak (PSS), MiB",
            rows,
        )
        self.say(
            f"\nReports accepted: **{accepted} of {scripts + 1}**. One pod / {scripts} pods:"
            f" **{one[1] / many[1]:.3f}** of the CPU."
        )
        path = self.scripts_in_folder("hanging", scripts, "sleep 0.1\n")
        for number in range(0, scripts, 25):
            self.script(f"hanging/{number:03}.sh", "echo waiting >&2\nexec sleep 1000")
            self.script(f"hanging/{number + 1:03}.sh", "echo 'row 17' >&2\nexit 1")
        for timeout in (30, 60):
            self.say(f"\n{self.with_some_that_hang(path, scripts, timeout)}")

    def scripts_in_folder(self, name: str, count: int, text: str) -> str:
        (self.work / name).mkdir()
        for number in range(count):
            self.script(f"{name}/{number:03}.sh", text)
        return str(self.work / name)

    def measured(
        self, commands: list[list[str]], at_once: int, timeout: float
    ) -> tuple[float, float, float]:
        """Run commands side by side; return wall and CPU seconds, and bytes of PSS at the peak."""
        environ = {**self.server.environ(timeout), "SHIM_PARALLEL": str(at_once)}
        used_before, started_at = os.times(), time.monotonic()
        peak, is_over = 0, threading.Event()

        def watch() -> None:
            nonlocal peak
            while not is_over.wait(0.2):
                peak = max(peak, sum(map(proportional_memory, descendants(os.getpid()))))

        def run(command: list[str]) -> None:
            subprocess.run(
                command,
                env=environ,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=True,
            )

        watcher = threading.Thread(target=watch)
        watcher.start()
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(run, commands))
        is_over.set()
        watcher.join()
        used = os.times()
        cpu = (
            used.children_user
            + used.children_system
            - used_before.children_user
            - used_before.children_system
        )
        return time.monotonic() - started_at, cpu, peak

    def with_some_that_hang(self, path: str, scripts: int, timeout: int) -> str:
        environ = self.server.environ(timeout)
        deadline = float(environ["KH_CHECK_RUN_DEADLINE"])
        before = len(self.server.accepted)
        result = subprocess.run([self.khshim, path], env=environ, capture_output=True, check=True)
        margin = deadline - time.time() + time.monotonic() - self.server.accepted[before]
        ended = re.findall(rb'"event": "script_(exited|timed_out)"', result.stderr)
        stopped = [
            float(seconds)
            for seconds in re.findall(
                rb'"event": "script_timed_out".*?"duration_s": ([0-9.]+)', result.stderr
            )
        ]
        return (
            f"A timeout of {timeout} s, and of the {scripts} scripts 8 hang and 8 fail: {len(ended)}"
            f" ended, {len(stopped)} of them were stopped, after {min(stopped):.1f} to"
            f" {max(stopped):.1f} s; **the report was accepted {margin:.2f} s before the deadline**."
        )

    def instructions(self) -> None:
        valgrind = shutil.which("valgrind")
        if valgrind is None:
            self.say("\n## Instructions\n\nNot counted: valgrind is not installed.")
            return
        script = self.script("count.sh", ":")
        official = self.work / "official0.0.py"
        official.write_text(OFFICIAL_STYLE.format(script=script))
        counted = {}
        for name, command in {
            "bare interpreter": ["-I", "-c", "pass"],
            "khshim, a script of 0 ms": ["-I", self.khshim, script],
            "official-style Python check": ["-I", str(official)],
            "urllib3 and the logger, and nothing else": ["-I", "-c", SAME_LIBRARIES, script],
        }.items():
            result = subprocess.run(
                [valgrind, "--tool=callgrind", "--callgrind-out-file=/dev/null", self.python, *command],
                env=self.server.environ(), capture_output=True, text=True, check=False,
            )  # fmt: skip
            counts = re.findall(r"==\d+== Collected : (\d+)", result.stderr)
            counted[name] = max(map(int, counts))
        base = counted["bare interpreter"]
        rows = [
            (name, f"{count / 1e6:.0f}", f"{count / base:.2f}") for name, count in counted.items()
        ]
        self.table(
            "Instructions (callgrind), which do not depend on the neighbours",
            "command|millions|ratio",
            rows,
        )


def sizes(image: str) -> tuple[int, int]:
    """Return the bytes of an image's files as a tar archive, and of that as gzip makes it smaller."""
    tar = f"tar --create --directory=$({' '.join(PODMAN)} image mount {image}) ."
    counted = []
    for command in (tar, f"{tar} | gzip -6"):
        output = subprocess.run(
            ["bash", "-c", f"{command} | wc --bytes"], capture_output=True, check=True
        ).stdout
        counted.append(int(output))
    subprocess.run([*PODMAN, "image", "unmount", image], capture_output=True, check=True)
    return counted[0], counted[1]


def descendants(pid: int) -> list[int]:
    """Return the processes below `pid`."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        tasks = [path.name for path in Path(f"/proc/{pid}/task").iterdir()]
        text += "".join(
            Path(f"/proc/{pid}/task/{task}/children").read_text() + " "
            for task in tasks
            if task != str(pid)
        )
    except OSError:
        return []
    children = [int(child) for child in text.split()]
    return [*children, *(below for child in children for below in descendants(child))]


def proportional_memory(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f}"


def install(work: Path) -> str:
    """Install khshim as the image does: compiled, isolated, without pip; return its Python."""
    environment = work / "venv"
    builder = work / "builder"
    subprocess.run([sys.executable, "-m", "venv", builder], check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    pip: list[str | Path] = [
        builder / "bin" / "python",
        "-m",
        "pip",
        "--quiet",
        "--disable-pip-version-check",
    ]
    subprocess.run([*pip, "install", "--upgrade", "pip"], check=True)
    subprocess.run([*pip, "--python", environment / "bin" / "python", "install", ROOT], check=True)
    command = environment / "bin" / "khshim"
    command.write_text(command.read_text().replace("\n", " -I\n", 1))
    return str(environment / "bin" / "python")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--only", default="", help="the measurements to take, such as memory,idle")
    options = parser.parse_args()
    work = ROOT / "build" / "bench"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    bench = Bench(work, options.rounds)
    bench.say("# Benchmarks")
    bench.say(
        f"\n`make bench`: medians of {options.rounds} interleaved rounds (5 for the throughput),"
        f" in one run, on {os.cpu_count()} cores ({cpu_model()}), {platform.system()}"
        f" {platform.release()}, Python {platform.python_version()}. khshim is installed as in the image:"
        " compiled, and started with `python -I`. Absolute figures differ from"
        " machine to machine; the ratios are what counts."
    )
    measurements = [
        bench.time_to_script, bench.whole_run, bench.throughput, bench.memory, bench.idle, bench.exactness,
        bench.scale, bench.image, bench.folder, bench.instructions,
    ]  # fmt: skip
    for measurement in measurements:
        if not options.only or measurement.__name__ in options.only.split(","):
            measurement()
    if not options.only:
        notes = ROOT / "bench" / "NOTES.md"
        RESULTS.write_text("\n".join(bench.lines) + "\n\n" + notes.read_text())
    return 0


def cpu_model() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


if __name__ == "__main__":
    sys.exit(main())

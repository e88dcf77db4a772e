"""What khshim is measured beside."""

from __future__ import annotations

import shutil

OFFICIAL_STYLE = """
import json, os, subprocess, urllib.request
result = subprocess.run([{script!r}], capture_output=True)
report = {{"OK": result.returncode == 0, "Errors": [] if result.returncode == 0 else ["failed"]}}
request = urllib.request.Request(
    os.environ["KH_REPORTING_URL"], json.dumps(report).encode(),
    {{"Content-Type": "application/json", "kh-run-uuid": os.environ["KH_RUN_UUID"]}})
urllib.request.urlopen(request).read()
"""
SAME_LIBRARIES = """
import json, logging, os, sys
import pythonjsonlogger.json, urllib3
handler = logging.StreamHandler()
handler.setFormatter(pythonjsonlogger.json.JsonFormatter())
log = logging.getLogger()
log.addHandler(handler)
log.setLevel(logging.INFO)
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
log.info("started")
_, status = os.waitpid(pid, 0)
log.info("ended")
report = {"OK": status == 0, "Errors": [] if status == 0 else ["failed"]}
urllib3.PoolManager().request(
    "POST", os.environ["KH_REPORTING_URL"], body=json.dumps(report),
    headers={"Content-Type": "application/json", "kh-run-uuid": os.environ["KH_RUN_UUID"]})
log.info("reported")
os._exit(0)
"""
SPAWN = (
    "import os, sys; pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ); os.wait4(pid, 0)"
)
CURL_AT_THE_END = """
"$1"
curl -s -H 'Content-Type: application/json' -H "kh-run-uuid: $KH_RUN_UUID" \
    -d '{"OK": true, "Errors": []}' "$KH_REPORTING_URL"
"""

SMALL_PARENT = """
import os, sys
quiet = [(os.POSIX_SPAWN_DUP2, 2, 1)]
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
print(os.wait4(pid, 0)[2].ru_maxrss)
"""


def wrappers() -> dict[str, list[str]]:
    candidates = {
        "timeout": ["timeout", "60"],
        "tini": ["tini", "-s", "--"],
        "dumb-init": ["dumb-init", "--"],
        "bash": ["bash", "-c", '"$0"'],
    }
    return {name: command for name, command in candidates.items() if shutil.which(command[0])}

"""What the checks ask over the pods' network."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from shim.kuberhealthy import Server
from tests.cluster.checks import SITE

INVENTORY = {"nodes": [{"name": "a", "up": True}, {"name": "b", "up": False}]}


class Site(ThreadingHTTPServer):
    """Has an inventory, and for each version a gate that keeps its check waiting."""

    daemon_threads = True

    def __init__(self) -> None:
        address = urlsplit(SITE)
        super().__init__((address.hostname or "", address.port or 0), Handler)
        self.waiting = {f"/lonely/{server.value}": threading.Event() for server in Server}
        self.open = {path: threading.Event() for path in self.waiting}


class Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        if self.path in self.server.waiting:
            self.server.waiting[self.path].set()
            self.server.open[self.path].wait()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(INVENTORY).encode())

    def log_message(self, format: str, *args: object) -> None:
        pass

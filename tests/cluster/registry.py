"""A registry of one image, for the node to pull (the distribution specification of OCI, its reading half)."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# To containerd a registry on loopback needs no TLS.
PORT = 5000
IMAGE = f"localhost:{PORT}/pause:1"
TYPE = "application/vnd.oci.image"


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _descriptor(data: bytes, kind: str) -> dict[str, object]:
    return {"mediaType": f"{TYPE}.{kind}", "digest": _digest(data), "size": len(data)}


def _blobs(program: Path) -> dict[str, tuple[str, bytes]]:
    """Return what the image of a program consists of, and its manifest, by what they are asked for."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        archive.add(program, "pause")
    packed = gzip.compress(layer.getvalue(), mtime=0)
    settings = {"Entrypoint": ["/pause"]}
    files = {"type": "layers", "diff_ids": [_digest(layer.getvalue())]}
    config = json.dumps(
        {"architecture": "amd64", "os": "linux", "config": settings, "rootfs": files}
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": f"{TYPE}.manifest.v1+json",
            "config": _descriptor(config, "config.v1+json"),
            "layers": [_descriptor(packed, "layer.v1.tar+gzip")],
        }
    ).encode()
    kind = f"{TYPE}.manifest.v1+json"
    found = {_digest(data): ("application/octet-stream", data) for data in (config, packed)}
    return {**found, "1": (kind, manifest), _digest(manifest): (kind, manifest)}


@contextmanager
def registry(program: Path) -> Iterator[str]:
    """Yield the name of an image that holds a program and nothing else."""
    blobs = _blobs(program)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rpartition("/")[2]
            kind, data = blobs.get(name, ("application/json", b"{}"))
            self.send_response(200 if name in blobs or name == "" else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Docker-Content-Digest", _digest(data))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", PORT), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield IMAGE
        server.shutdown()

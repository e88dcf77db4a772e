"""Importing what delivers the report, while the script runs."""

from __future__ import annotations

import gc
import importlib
import threading

from shim.delivery.worker import Worker


def preload(worker: Worker) -> threading.Event:
    """Have `worker` import the HTTP client; return what is set when that is done.

    The collector of garbage has been off since the start: what is imported is none.
    """
    done = threading.Event()
    try:
        worker.submit(lambda: _import(done))
    except RuntimeError:
        gc.enable()  # no thread can be started: it is imported when it is needed
        done.set()
    return done


def _import(done: threading.Event) -> None:
    try:
        importlib.import_module("shim.delivery.deliver")
        importlib.import_module("encodings.idna")  # what a host's name is encoded with
    except Exception:
        pass  # it will fail again where it is needed, and be told there
    finally:
        gc.freeze()  # or the next collection would look at all of it
        gc.enable()
        done.set()

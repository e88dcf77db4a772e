"""Importing the modules that deliver the report, while the script runs."""

from __future__ import annotations

import gc
import importlib
import threading

from shim.delivery.worker import Worker


def preload(worker: Worker) -> threading.Event:
    """Let `worker` import the HTTP client; return an event that is set when this is done.

    The garbage collector, which has been off since the start, is on from then on.
    """
    done = threading.Event()
    try:
        worker.submit(lambda: _import(done))
    except RuntimeError:
        gc.enable()  # no thread can be started: the modules are imported when they are needed
        done.set()
    return done


def _import(done: threading.Event) -> None:
    try:
        importlib.import_module("shim.delivery.deliver")
        importlib.import_module("encodings.idna")  # socket encodes host names with it
    except Exception:
        pass  # the import will fail again where it is needed, and is reported there
    finally:
        gc.freeze()  # otherwise the next collection would traverse all modules
        gc.enable()
        done.set()

"""Ending a service mesh's sidecar, which keeps a finished pod alive."""

from __future__ import annotations

import urllib3
from urllib3.exceptions import HTTPError

from shim.patience import Patience

QUIT_TIMEOUT = 1.0


def quit_sidecar(url: str, patience: Patience) -> str:
    """POST to `url` once, within `patience`; return "" or why it did not work."""
    return patience.ask(lambda: _post(url), f"no answer within {QUIT_TIMEOUT:.0f} s")


def _post(url: str) -> str:
    try:
        with urllib3.PoolManager() as http:
            response = http.request(
                "POST",
                url,
                redirect=False,
                retries=False,
                timeout=QUIT_TIMEOUT,
                preload_content=False,
            )
    except HTTPError as error:
        return str(error)
    return "" if response.status < 300 else f"it answered {response.status}"

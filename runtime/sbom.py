"""The bill of materials: CycloneDX 1.5 in JSON (https://cyclonedx.org/docs/1.5/json/)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from uuid import NAMESPACE_URL, uuid5

from runtime.packages import Component


def bill_of_materials(product: Component, parts: Sequence[Component]) -> str:
    """Return the document. It names no time, so that the same parts make the same bytes."""
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": _entry(product, "application")},
        "components": [_entry(part, "library") for part in parts],
        "dependencies": [
            {"ref": product.purl, "dependsOn": [part.purl for part in parts]},
            *({"ref": part.purl} for part in parts),
        ],
    }
    serial = uuid5(NAMESPACE_URL, json.dumps(document, sort_keys=True))
    return json.dumps({**document, "serialNumber": f"urn:uuid:{serial}"}, indent=1) + "\n"


def _entry(component: Component, kind: str) -> dict[str, object]:
    return {
        "type": kind,
        "bom-ref": component.purl,
        "name": component.name,
        "version": component.version,
        "licenses": [{"license": {"name": component.license}}],
        "purl": component.purl,
    }

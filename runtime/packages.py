"""What the parts of the runtime are called, and under which licence: from Debian's records and pip's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

DPKG = Path("/var/lib/dpkg")
DOCUMENTS = Path("/usr/share/doc")
COMMON_LICENSES = Path("/usr/share/common-licenses")


class Component(NamedTuple):
    """One part with a version of its own. `texts` are the files with its licences."""

    name: str
    version: str
    license: str
    purl: str  # https://github.com/package-url/purl-spec
    texts: tuple[Path, ...]


class Debian:
    """The packages that are installed here, by the records of dpkg(1)."""

    def __init__(self) -> None:
        self._owners = dict(_owners())
        self._installed = {entry["Package"]: entry for entry in _installed()}

    def owner(self, path: Path) -> str:
        """Return the name of the package that `path` is from; "" where dpkg knows of none."""
        # Its lists may name /lib where that is /usr/lib by now.
        names = (str(path), str(path).removeprefix("/usr"))
        return next((self._owners[name] for name in names if name in self._owners), "")

    def component(self, name: str) -> Component:
        """Return what is known of the package `name`."""
        entry = self._installed[name]
        source = entry.get("Source", name).split()[0]
        purl = (
            f"pkg:deb/debian/{name}@{quote(entry['Version'], safe=':')}?arch={entry['Architecture']}"
            f"&distro={_distribution()}&upstream={source}"
        )
        text = (DOCUMENTS / name / "copyright").resolve(strict=True)
        return Component(name, entry["Version"], _license_in(text), purl, (text,))


def python_component(metadata: Path) -> Component:
    """Return what is known of a Python package, by its folder NAME-VERSION.dist-info."""
    fields = HeaderParser().parsestr((metadata / "METADATA").read_text())
    name = re.sub(r"[-_.]+", "-", fields["Name"]).lower()
    version = fields["Version"]
    texts = [metadata / "licenses" / file for file in fields.get_all("License-File", [])]
    license = fields["License-Expression"] or fields["License"] or "see its text"
    return Component(name, version, license, f"pkg:pypi/{name}@{version}", tuple(texts))


def common_licenses(texts: list[Path]) -> list[Path]:
    """Return the licences that `texts` refer to, and that Debian keeps once for all packages."""
    names = set()
    for text in texts:
        words = text.read_text(errors="replace")
        names |= set(re.findall(rf"{COMMON_LICENSES}/([A-Za-z0-9.-]*[A-Za-z0-9])", words))
    return sorted({(COMMON_LICENSES / name).resolve(strict=True) for name in names})


def _owners() -> Iterator[tuple[str, str]]:
    for record in (DPKG / "info").glob("*.list"):
        package = record.stem.partition(":")[0]
        for path in record.read_text().splitlines():
            yield path, package


def _installed() -> Iterator[Message]:
    for entry in (DPKG / "status").read_text().split("\n\n"):
        fields = HeaderParser().parsestr(entry)
        if fields["Package"]:
            yield fields


def _distribution() -> str:
    release = Path("/etc/os-release").read_text()
    found = re.search(r'^VERSION_ID="?([^"\n]+)', release, re.MULTILINE)
    return f"debian-{found[1]}" if found else "debian"


def _license_in(text: Path) -> str:
    """Return the main licence that a file debian/copyright names, if it can be read by a machine."""
    found = re.search(
        r"^Files: *\*\n(?:.*\n)*?License: *(.+)", text.read_text(errors="replace"), re.M
    )
    return found[1].strip() if found else "see its text"

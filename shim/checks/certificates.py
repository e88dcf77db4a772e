"""When certificates expire, read from PEM text (RFC 7468, RFC 5280)."""

from __future__ import annotations

import re
import ssl
import time
from datetime import datetime, timezone
from typing import NamedTuple

from shim.checks.verdict import Verdict
from shim.checks.words import count, date

DAY_S = 86_400
BEGIN = "-----BEGIN CERTIFICATE-----"
_PEM = re.compile(f"{BEGIN}.*?-----END CERTIFICATE-----", re.DOTALL)
SEQUENCE, INTEGER, VERSION, UTC_TIME, GENERALIZED_TIME = 0x30, 0x02, 0xA0, 0x17, 0x18


class Validity(NamedTuple):
    """From when and until when a certificate is valid, in unix time."""

    starts: float
    ends: float


class Certificates:
    """What was found out of certificates that are to be valid for so many days."""

    def __init__(self, days: float) -> None:
        self.days = days
        self.count = self.places = 0
        self.problems: list[str] = []

    def look(self, text: str, place: str) -> None:
        """Look at all certificates in a text; one that holds none is a problem."""
        self.places += 1
        try:
            found = validities(text)
        except ValueError as error:
            self.problems.append(f"{place} {error}")
            return
        self.count += len(found)
        for number, validity in enumerate(found, 1):
            problem = self._problem(validity)
            if problem:
                which = f"Certificate {number} in " if len(found) > 1 else "The certificate in "
                self.problems.append(f"{which}{place} {problem}")

    def verdict(self) -> Verdict:
        what = f"{count(self.count, 'certificate')} in {count(self.places, 'place')}"
        return Verdict(self.problems, f"{what}: valid for {self.days:g} days or longer")

    def _problem(self, validity: Validity) -> str | None:
        now = time.time()
        if validity.starts > now:
            return f"is not valid before {date(validity.starts)}"
        if validity.ends < now:
            return f"expired at {date(validity.ends)}"
        if validity.ends - now < self.days * DAY_S:
            return f"expires at {date(validity.ends)}, in less than {self.days:g} days"
        return None


def validities(text: str) -> list[Validity]:
    """Return those of all certificates in a text.

    Raises ValueError with words to follow the text's name, also where it has none.
    """
    found = []
    blocks = _PEM.findall(text)
    if not blocks or len(blocks) != text.count(BEGIN):
        raise ValueError("holds no certificate in PEM form, or one that breaks off")
    for number, block in enumerate(blocks, 1):
        try:
            der = ssl.PEM_cert_to_DER_cert(block)
            # OpenSSL judges whether it is a certificate at all.
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=der)
            found.append(_validity(der))
        except (ValueError, IndexError, OverflowError, ssl.SSLError):
            raise ValueError(f"holds a certificate, number {number}, that cannot be read") from None
    return found


def _validity(der: bytes) -> Validity:
    """Return the validity of a certificate in DER: the fifth field of its first part, or the fourth.

    Certificate ::= SEQUENCE { tbsCertificate SEQUENCE { [0] version OPTIONAL, serialNumber,
    signature, issuer, validity SEQUENCE { notBefore, notAfter }, … }, … }
    """
    certificate, _ = _element(der, SEQUENCE)
    rest, _ = _element(certificate, SEQUENCE)
    if rest[0] == VERSION:
        _, rest = _element(rest, VERSION)
    _, rest = _element(rest, INTEGER)
    _, rest = _element(rest, SEQUENCE)
    _, rest = _element(rest, SEQUENCE)
    validity, _ = _element(rest, SEQUENCE)
    starts, rest = _time(validity)
    ends, _ = _time(rest)
    return Validity(starts, ends)


def _element(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """Return the content of the first element, which must have that tag, and what is behind it."""
    size, at = data[1], 2
    if size >= 0x80:  # how many bytes the length has
        at += size - 0x80
        size = int.from_bytes(data[2:at], "big")
    if data[0] != tag or len(data) < at + size:
        raise ValueError(tag)
    return data[at : at + size], data[at + size :]


def _time(data: bytes) -> tuple[float, bytes]:
    """Return the unix time of a UTCTime or GeneralizedTime, always UTC and with seconds."""
    if data[0] == UTC_TIME:
        content, rest = _element(data, UTC_TIME)
        text = content.decode("ascii")
        # Two digits of a year are 1950 to 2049 (RFC 5280, section 4.1.2.5.1).
        text = ("19" if text[:2] >= "50" else "20") + text
    else:
        content, rest = _element(data, GENERALIZED_TIME)
        text = content.decode("ascii")
    moment = datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=timezone.utc)
    return moment.timestamp(), rest

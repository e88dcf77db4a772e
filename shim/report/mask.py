"""Masking secrets in what is reported: the status page asks for no login."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from urllib.parse import unquote_to_bytes

from shim.report.clean import clean
from shim.report.escapes import ESCAPES, unescape
from shim.supervise.capture import CUT_BYTES

# Variables whose values are secrets, by their names.
SECRET_NAMES = (
    "*PASSWORD*",
    "*PASSWD*",
    "*PASSPHRASE*",
    "*_PASS",
    "*_PWD",
    "*TOKEN*",
    "*SECRET*",
    "*_KEY",
    "*APIKEY*",
    "*_PAT",
)
# GOOGLE_APPLICATION_CREDENTIALS and the like may hold a path instead. Base64 can begin
# with a / too, but has nothing else that a path has.
CREDENTIAL_NAMES = ("*CREDENTIAL*",)
PATH = r"/.*[^A-Za-z0-9+/=].*"
# The password in a URL is one too, in any variable. It ends at the last @ of the address;
# in a list of URLs, or where a / in it should have been escaped, at the first.
_USER = r"://[^\s/?#:@\[]*:(?![0-9]*[/?#])"
URL_PASSWORDS = (_USER + r"([^\s/?#]{1,512})@", _USER + r"([^\s@]{1,512})@")
# Where a variable is named like this, a URL is looked at that lacks its scheme.
URL_NAMES = ("*URL*", "*URI*", "*DSN*")
ANY_PASSWORD = r":([^\s:@]+)@"
# A shorter value would be found in innocent words as well.
SHORTEST = 6
MASK = b"[masked]"


class Masker:
    """Replaces the secrets of `environ` in a cleaned line.

    A secret is the value of a variable whose name matches SECRET_NAMES or one of
    `more_names`, in upper or lower case; of a value with several lines, each line. So is
    the password in a URL. It is found as it is, with the escapes of shells, URLs, JSON,
    HTML and programming languages, and base64-encoded, also in the middle of a longer
    encoded text. Where the line begins or ends with CUT, half a secret is found too.
    """

    def __init__(self, environ: Mapping[str, str], more_names: Iterable[str] = ()) -> None:
        self._environ = environ
        self._patterns = [pattern.upper() for pattern in (*SECRET_NAMES, *more_names)]

    def __call__(self, text: str) -> str:
        if not self._forms:
            return text
        line = text.encode("utf-8", "surrogatepass")
        spans = [*self._found(line), *self._halves(line)]
        for escape in ESCAPES:
            plain, places = unescape(line, escape)
            spans += [(places[start], places[end]) for start, end in self._found(plain)]
        if not spans:
            return text
        return _masked(line, spans).decode("utf-8", "replace")

    def _found(self, text: bytes) -> Iterator[tuple[int, int]]:
        """Yield where each secret in `text` starts and ends; they may overlap."""
        # A regular expression of so many alternatives would try each of them everywhere.
        forms = self._forms
        for at in range(len(text)):
            for form in forms.get(text[at : at + SHORTEST], ()):
                if text.startswith(form, at):
                    yield at, at + len(form)

    def _halves(self, line: bytes) -> Iterator[tuple[int, int]]:
        """Yield what a line that was cut begins or ends with of a secret."""
        start, end = len(CUT_BYTES), len(line) - len(CUT_BYTES)
        forms = [form for alike in self._forms.values() for form in alike]
        if line.startswith(CUT_BYTES):
            for form, at in _places(line[start : start + SHORTEST], forms):
                if line.startswith(form[at:], start):
                    yield start, start + len(form) - at
        if line.endswith(CUT_BYTES):
            for form, at in _places(line[max(end - SHORTEST, 0) : end], forms):
                if line.endswith(form[: at + SHORTEST], 0, end):
                    yield end - at - SHORTEST, end

    @cached_property  # the first text that is masked, and not the script, waits for it
    def _forms(self) -> dict[bytes, list[bytes]]:
        """What is looked for, by its first SHORTEST bytes."""
        forms: set[bytes] = set()
        for secret in self._secrets():
            lines = [line.strip() for line in secret.split(b"\n")]
            for line in lines:
                forms.update(_forms_of(line))
            if len(lines) > 1:
                forms.update(_base64_forms(secret))
        by_beginning: dict[bytes, list[bytes]] = {}
        for form in forms:
            if len(form) >= SHORTEST:
                by_beginning.setdefault(form[:SHORTEST], []).append(form)
        return by_beginning

    def _secrets(self) -> Iterator[bytes]:
        for name, value in self._environ.items():
            is_credential = _matches(name, CREDENTIAL_NAMES) and not re.fullmatch(PATH, value)
            if is_credential or _matches(name, self._patterns):
                yield os.fsencode(value).strip()
            patterns: Sequence[str] = URL_PASSWORDS
            if "://" not in value and _matches(name, URL_NAMES):
                patterns = (ANY_PASSWORD,)
            for password in {match[1] for each in patterns for match in re.finditer(each, value)}:
                yield os.fsencode(password)
                yield unquote_to_bytes(os.fsencode(password))


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name.upper(), pattern) for pattern in patterns)


def _places(part: bytes, forms: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
    """Yield each form that holds `part`, with each place of it."""
    if len(part) == SHORTEST:
        everywhere = re.compile(b"(?=" + re.escape(part) + b")")
        for form in forms:
            for match in everywhere.finditer(form):
                yield form, match.start()


def _masked(line: bytes, spans: Iterable[tuple[int, int]]) -> bytes:
    parts: list[bytes] = []
    done = -1
    for start, end in sorted(spans):
        if start > done:
            parts += [line[max(done, 0) : start], MASK]
        done = max(done, end)
    return b"".join([*parts, line[done:]])


def _forms_of(secret: bytes) -> Iterator[bytes]:
    """Return how `secret` looks in a cleaned line whose escapes, if any, are undone."""
    text = secret.decode("utf-8", "replace")
    if len(text) < SHORTEST:
        return
    for shown in (secret, secret.decode("latin-1").encode()):  # Perl takes bytes for characters
        yield shown
        yield clean(shown).encode()
    # A shell in the C locale escapes each byte of a character; ascii() and escape() write
    # Latin-1.
    yield secret.decode("ascii", "replace").encode()
    yield text.encode("latin-1", "replace")
    yield from _base64_forms(secret)


def _base64_forms(secret: bytes) -> Iterator[bytes]:
    """Return what does not change of the secret's base64, and base64url, whatever is around it.

    Three bytes become four characters, so there are three ways to begin. Tools break
    what they encode into lines of 76 or 64 characters.
    """
    for encoded in _standard_base64_forms(secret):
        yield encoded
        yield encoded.translate(bytes.maketrans(b"+/", b"-_"))


def _standard_base64_forms(secret: bytes) -> Iterator[bytes]:
    whole = base64.b64encode(secret).rstrip(b"=")
    yield whole
    # A newline may follow, so that the last character is not known.
    known = whole[: 8 * len(secret) // 6]
    for width in (76, 64):
        yield from (known[at : at + width] for at in range(0, len(known), width))
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + secret)
        start = -(-8 * before // 6)
        end = 8 * (before + len(secret)) // 6
        yield encoded[start:end]

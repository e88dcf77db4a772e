"""Masking secrets in what is reported: the status page asks for no login."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cached_property
from urllib.parse import quote, quote_plus

from shim.report.clean import clean

# Variables whose values are secrets, by their names.
SECRET_NAMES = ("*PASSWORD*", "*TOKEN*", "*SECRET*", "*_KEY")
# A shorter value would be found in innocent words as well.
SHORTEST = 6
MASK = "[masked]"


class Masker:
    """Replaces the secrets of `environ` in a cleaned line.

    A secret is the value of a variable whose name matches SECRET_NAMES or one of
    `more_names`, in upper or lower case; of a value with several lines, each line.
    It is found as it is, as a shell quotes it in a trace, URL-encoded, and
    base64-encoded, also in the middle of a longer encoded text.
    """

    def __init__(self, environ: Mapping[str, str], more_names: Iterable[str] = ()) -> None:
        self._environ = environ
        self._patterns = [pattern.upper() for pattern in (*SECRET_NAMES, *more_names)]

    def __call__(self, text: str) -> str:
        forms = self._forms
        if not forms:
            return text
        # A regular expression of so many alternatives would try each of them everywhere.
        parts, kept, at = [], 0, 0
        while at <= len(text) - SHORTEST:
            candidates = forms.get(text[at : at + SHORTEST], ())
            found = next((form for form in candidates if text.startswith(form, at)), None)
            if found is None:
                at += 1
            else:
                parts += [text[kept:at], MASK]
                at = kept = at + len(found)
        return "".join([*parts, text[kept:]])

    @cached_property  # the first text that is masked, and not the script, waits for it
    def _forms(self) -> dict[str, list[str]]:
        """What is looked for, by its first SHORTEST characters, longest first."""
        forms: set[str] = set()
        for name, value in self._environ.items():
            if any(fnmatchcase(name.upper(), pattern) for pattern in self._patterns):
                secret = os.fsencode(value).strip()
                lines = [line.strip() for line in secret.split(b"\n")]
                for line in lines:
                    forms.update(_forms_of(line))
                if len(lines) > 1:
                    forms.update(_base64_forms(secret))
        by_beginning: dict[str, list[str]] = {}
        # A secret may begin like another one, which is longer.
        for form in sorted(forms, key=len, reverse=True):
            if len(form) >= SHORTEST:
                by_beginning.setdefault(form[:SHORTEST], []).append(form)
        return by_beginning


def _forms_of(secret: bytes) -> Iterator[str]:
    text = clean(secret)
    if len(text) < SHORTEST:
        return
    yield text
    yield text.replace("'", r"'\''")
    yield text.replace("\\", r"\\").replace('"', r"\"")
    for encode in (quote, quote_plus):
        encoded = encode(secret, safe="")
        yield encoded
        yield re.sub("%..", lambda escape: escape[0].lower(), encoded)
        yield encode(secret, safe="/")
    yield from _base64_forms(secret)


def _base64_forms(secret: bytes) -> Iterator[str]:
    """Return what does not change of the secret's base64, and base64url, whatever is around it.

    Three bytes become four characters, so there are three ways to begin. Tools break
    what they encode into lines of 76 or 64 characters.
    """
    for encoded in _standard_base64_forms(secret):
        yield encoded
        yield encoded.translate({ord("+"): "-", ord("/"): "_"})


def _standard_base64_forms(secret: bytes) -> Iterator[str]:
    whole = base64.b64encode(secret).decode().rstrip("=")
    yield whole
    # A newline may follow, so that the last character is not known.
    known = whole[: 8 * len(secret) // 6]
    for width in (76, 64):
        if len(known) > width:
            yield from (known[at : at + width] for at in range(0, len(known), width))
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + secret).decode()
        start = -(-8 * before // 6)
        end = 8 * (before + len(secret)) // 6
        yield encoded[start:end]

"""Masking secrets in what is reported: the status page asks for no login."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from urllib.parse import quote, quote_plus

from shim.clean import clean

# Variables whose values are secrets, by their names.
SECRET_NAMES = ("*PASSWORD*", "*TOKEN*", "*SECRET*", "*_KEY")
# A shorter value would be found in innocent words as well.
SHORTEST = 6
MASK = "[masked]"


def masker(environ: Mapping[str, str], more_names: Iterable[str] = ()) -> Callable[[str], str]:
    """Return a function that replaces the secrets of `environ` in a cleaned line.

    A secret is the value of a variable whose name matches SECRET_NAMES or one of
    `more_names`, in upper or lower case; of a value with several lines, each line.
    It is found as it is, as a shell quotes it in a trace, URL-encoded, and
    base64-encoded, also in the middle of a longer encoded text.
    """
    patterns = [pattern.upper() for pattern in (*SECRET_NAMES, *more_names)]
    forms: set[str] = set()
    for name, value in environ.items():
        if any(fnmatchcase(name.upper(), pattern) for pattern in patterns):
            for line in value.encode("utf-8", "surrogateescape").split(b"\n"):
                forms.update(form for form in _forms(line.strip()) if len(form) >= SHORTEST)
    if not forms:
        return lambda text: text
    # Longest first: a secret may begin like another.
    expression = re.compile("|".join(map(re.escape, sorted(forms, key=len, reverse=True))))
    return lambda text: expression.sub(MASK, text)


def _forms(secret: bytes) -> Iterator[str]:
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
    for encoded in _base64_forms(secret):
        yield encoded
        yield encoded.translate({ord("+"): "-", ord("/"): "_"})


def _base64_forms(secret: bytes) -> Iterator[str]:
    """Return what does not change of the secret's base64 whatever stands around it.

    Three bytes become four characters, so there are three ways to begin. Tools break
    what they encode into lines of 76 or 64 characters.
    """
    whole = base64.b64encode(secret).decode().rstrip("=")
    yield whole
    for width in (76, 64):
        if len(whole) > width:
            yield from (whole[at : at + width] for at in range(0, len(whole), width))
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + secret).decode()
        start = -(-8 * before // 6)
        end = 8 * (before + len(secret)) // 6
        yield encoded[start:end]

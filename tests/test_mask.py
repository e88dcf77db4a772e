from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Callable
from hashlib import sha256
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.report.clean import clean
from shim.report.mask import Masker
from tests.conftest import Shim

Write = Callable[..., str]
SECRET = "hunter2/+ü'x\"y"


@pytest.mark.parametrize(
    "name",
    [
        "DB_PASSWORD",
        "PASSWORDS",
        "GITHUB_TOKEN",
        "TOKEN",
        "MY_SECRET_1",
        "API_KEY",
        "api_key",
        "DSN",
    ],
)
def test_names_that_look_secret(name: str) -> None:
    assert Masker({name: SECRET}, ["DSN"])(f"a {SECRET} b") == "a [masked] b"


@pytest.mark.parametrize("name", ["PATH", "KEYBOARD", "USER", "API_KEY_ID"])
def test_names_that_do_not(name: str) -> None:
    assert Masker({name: SECRET}, ["DSN"])(SECRET) == SECRET


def test_patterns_of_ones_own() -> None:
    mask = Masker({"SHOP_URL": "postgres://u:p@db", "LEVEL": "verbose"}, ["*_url"])
    assert mask("postgres://u:p@db verbose") == "[masked] verbose"


def test_short_values_are_left_alone() -> None:
    assert Masker({"TOKEN": "12345"})("12345") == "12345"
    assert Masker({"TOKEN": "123456"})("x123456x") == "x[masked]x"


@pytest.mark.parametrize(
    "shown",
    [
        quote(SECRET, safe=""),
        quote(SECRET),
        quote_plus(SECRET),
        quote(SECRET, safe="").lower(),
        SECRET.replace("'", "'\\''"),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
    ],
)
def test_encoded(shown: str) -> None:
    text = Masker({"TOKEN": SECRET})(f"<{shown}>")
    assert text.startswith("<[masked]") and len(text) <= len("<[masked]==>")


@given(
    st.text("abcXYZ019/+-_ü", min_size=8, max_size=60),
    st.binary(max_size=9),
    st.binary(max_size=9),
)
def test_inside_a_longer_base64_text(secret: str, before: bytes, after: bytes) -> None:
    mask = Masker({"TOKEN": secret})
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(before + secret.encode() + after).decode()
        shown = mask(encoded)
        assert "[masked]" in shown
        # What is left of it at the edges holds less than a whole character on each side.
        rest = shown.replace("[masked]", "")
        assert len(rest) <= -(-8 * len(before) // 6) + -(-8 * len(after) // 6) + 4


def test_base64_in_lines() -> None:
    secret = "long secret " * 20
    environ = {"TOKEN": secret}
    result = subprocess.run(["base64"], input=secret.encode(), capture_output=True, check=True)
    for line in result.stdout.decode().splitlines():
        assert "[masked]" in Masker(environ)(line)


def test_a_value_of_several_lines_is_masked_line_by_line() -> None:
    mask = Masker({"TLS_KEY": "-----BEGIN-----\nMIIEpAIBAAK\nabc\n"})
    assert mask("MIIEpAIBAAK") == "[masked]"
    assert mask("abc") == "abc"


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=6))
def test_any_value_is_found_in_a_cleaned_line(secret: str) -> None:
    mask = Masker({"TOKEN": secret})
    shown = clean(f"<{secret}>".encode())
    text = clean(secret.strip().encode())
    if len(text) >= 6:
        assert text not in mask(shown).replace("[masked]", "")


def test_colour_codes_inside_do_not_hide_it() -> None:
    assert Masker({"TOKEN": "secret-value"})(clean(b"secret\x1b[1m-val\x1b[0mue")) == "[masked]"


@pytest.mark.parametrize("position", [980, 990, 995, 999, 1005])
def test_across_the_limit_of_a_line(shim: Shim, python_script: Write, position: int) -> None:
    path = python_script(
        "import os, sys\n" f"sys.exit('x' * {position} + os.environ['MY_TOKEN'] + 'y' * 500)\n"
    )
    [error] = shim.run(path, env={"MY_TOKEN": "a-rather-secret-value"}).errors
    assert "a-ra" not in error and len(error) <= 1000


@pytest.mark.parametrize("position", [890, 895, 899, 905, 985, 995, 1010])
def test_at_the_beginning_of_a_cut_line(shim: Shim, python_script: Write, position: int) -> None:
    path = python_script(
        "import os, sys\n" f"sys.exit('x' * 300_000 + os.environ['MY_TOKEN'] + 'y' * {position})\n"
    )
    run = shim.run(path, env={"MY_TOKEN": "a-rather-secret-value"})
    assert not any("value" in error or "secret" in error for error in run.errors)


def test_a_trace_is_masked_in_the_report_and_the_log_line_of_khshim(
    shim: Shim, script: Write
) -> None:
    path = script(
        '#!/bin/bash -x\ncurl -H "Authorization: $API_TOKEN" nowhere: 2>/dev/null\nexit 1\n'
    )
    run = shim.run(path, env={"API_TOKEN": "correct horse"})
    assert any("[masked]" in error for error in run.errors)
    assert not any("correct horse" in error for error in run.errors)
    assert "correct horse" not in run.event("script_exited")["message"]
    assert b"correct horse" in run.stderr  # the script's own output stays as it is


def test_a_secret_in_a_wrong_setting_is_masked_whole(shim: Shim) -> None:
    value = "x" * 70 + " supersecretvalue123456 'open"
    env = {"DB_PASSWORD": "supersecretvalue123456", "SHIM_SCRIPT": "a", "SHIM_ARGS": value}
    run = shim.run(env=env)
    assert run.exit_status == 78
    assert "supers" not in run.errors[0] and "[masked]" in run.errors[0]


def test_sentences_are_masked_too(shim: Shim) -> None:
    run = shim.run("/no/s3cret-folder/x", env={"A_SECRET": "s3cret-folder"})
    assert "s3cret" not in run.errors[0]


@pytest.mark.timeout(10)
def test_a_long_secret_and_much_output_take_no_longer_than_they_are() -> None:
    """A key file of 40 KB has some 10,000 forms; one at a time they took half a minute."""
    lines = [sha256(b"%d" % number).hexdigest() for number in range(3600)]
    mask = Masker({"TLS_KEY": "\n".join(lines[:600])})
    text = " ".join(lines[600:])
    assert mask(f"{text} {lines[300]}") == f"{text} [masked]"


def test_a_value_of_several_lines_as_base64() -> None:
    key = "-----BEGIN-----\n" + "".join(f"{number:064x}\n" for number in range(5))
    mask = Masker({"TLS_KEY": key})
    for text in (key, key.strip()):
        masked = [mask(line) for line in base64.encodebytes(text.encode()).decode().split()]
        assert all(len(line.removeprefix("[masked]")) <= 4 for line in masked), masked


def test_a_value_in_another_encoding() -> None:
    assert Masker({"TOKEN": os.fsdecode(b"p\xe4sswort")})("p\ufffdsswort") == "[masked]"


def test_a_comma_too_many_does_not_turn_masking_off(shim: Shim, script: Write) -> None:
    path = script('#!/bin/sh\necho "no $DB_DSN" >&2; exit 1\n')
    run = shim.run(path, env={"DB_DSN": "postgres://u:p@db", "SHIM_MASK": "DB_DSN,"})
    assert run.errors == ["no [masked]"]


def test_half_a_secret_after_a_carriage_return(shim: Shim, script: Write) -> None:
    """The unfinished last state of what is cut would be what is shown."""
    line = "\rGET /?token=$A_TOKEN"
    path = script(f'#!/bin/bash\nfor i in {{1..9000}}; do printf "{line}" >&2; done; exit 1\n')
    run = shim.run(path, env={"A_TOKEN": "0123456789" * 4})
    assert all("0123" not in error for error in run.errors), run.errors

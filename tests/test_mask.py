from __future__ import annotations

import base64
import html
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from hashlib import sha256
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shim.kuberhealthy import Server
from shim.report.build import failure
from shim.report.clean import clean
from shim.report.excerpt import Editor
from shim.report.mask import Masker
from shim.supervise.capture import ScriptOutput
from tests.support.khshim import KHSHIM, Shim

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
        "MYSQL_PWD",
        "FTP_PASS",
        "VNC_PASSWD",
        "PASSWD_FTP",
        "GPG_PASSPHRASE",
        "DATADOG_APIKEY",
        "APIKEY_2",
        "GITHUB_PAT",
        "AWS_CREDENTIALS",
        "CREDENTIAL",
    ],
)
def test_names_that_look_secret(name: str) -> None:
    assert Masker({name: SECRET}, ["DSN"])(f"a {SECRET} b") == "a [masked] b"


@pytest.mark.parametrize(
    "name", ["PATH", "KEYBOARD", "USER", "API_KEY_ID", "PWD", "OLDPWD", "PATTERN", "COMPASS"]
)
def test_names_that_do_not(name: str) -> None:
    assert Masker({name: SECRET}, ["DSN"])(SECRET) == SECRET


def test_a_path_to_credentials_is_a_secret_where_that_is_asked_for() -> None:
    path = "/var/secrets/key.json"
    assert Masker({"MY_CREDENTIALS": path}, ["MY_*"])(path) == "[masked]"


@pytest.mark.parametrize(
    ("name", "value", "is_secret"),
    [
        ("GOOGLE_APPLICATION_CREDENTIALS", "/var/secrets/key.json", False),
        ("AWS_SHARED_CREDENTIALS_FILE", "/root/.aws/credentials", False),
        ("CREDENTIALS", '{"password": "x/y.z"}', True),
        ("CREDENTIALS", "/9j4AAQSkZJRg+ab/cd==", True),  # base64
        ("SHIM_PASS_CREDENTIALS", "true", False),
        ("DB_PASSWORD", "/etc/a-password.txt", True),
    ],
)
def test_a_path_to_credentials_is_no_secret(name: str, value: str, is_secret: bool) -> None:
    assert Masker({name: value})(f"no {value}!") == (
        "no [masked]!" if is_secret else f"no {value}!"
    )


@pytest.mark.parametrize(
    ("name", "value", "line", "shown"),
    [
        ("DB", "postgres://bob:s3cret-pw@db/x", "s3cret-pw", "[masked]"),
        ("DB", "postgres://bob:s3cret-pw@db/x", "no bob at db/x", "no bob at db/x"),
        ("DB", "postgres://bob:s3cret-pw@db/x?y=a@b", "s3cret-pw db/x?y=a", "[masked] db/x?y=a"),
        ("DB", "a://b:first-one@c,a://d:other-one@e", "first-one other-one", "[masked] [masked]"),
        ("DB", "redis://:s3cret-pw@db", "s3cret-pw", "[masked]"),
        ("DB", "a://b:s3cr%40t-pw@c", "s3cr@t-pw s3cr%40t-pw", "[masked] [masked]"),
        ("DB", "a://b:s3cr@t-pw@c", "s3cr@t-pw", "[masked]"),
        ("DB", "a://b:s3cret/pw?#x@c", "s3cret/pw?#x", "[masked]"),
        ("DB", "a://b:pw@c a://d:longer-pw@e", "longer-pw", "[masked]"),
        ("ARGS", "-x -u http://b:s3cret-pw@c -y", "s3cret-pw", "[masked]"),
        ("URL", "http://web:8080/a@b", "http://web:8080/a@b", "http://web:8080/a@b"),
        ("WEB", "http://[::1]:8080/a-b@c", "[::1]:8080/a-b@c", "[::1]:8080/a-b@c"),
        ("WEB", "http://web.shop.svc", "web.shop.svc", "web.shop.svc"),
        # Where a URL belongs it may be written wrong.
        ("PUSH_URL", "bob:s3cret-pw@push:9091", "s3cret-pw", "[masked]"),
        ("PUSH_URI", "http//bob:s3cret-pw@push", "s3cret-pw", "[masked]"),
        ("MYSQL_DSN", "bob:s3cret-pw@tcp(db:3306)/x", "s3cret-pw", "[masked]"),
        ("IMAGE", "web:version-2@sha256:abc", "version-2", "version-2"),
    ],
)
def test_the_password_in_a_url(name: str, value: str, line: str, shown: str) -> None:
    assert Masker({name: value})(line) == shown


def test_patterns_of_ones_own() -> None:
    mask = Masker({"SHOP_URL": "postgres://u:p@db", "LEVEL": "verbose"}, ["*_url"])
    assert mask("postgres://u:p@db verbose") == "[masked] verbose"


def test_text_that_is_no_unicode() -> None:
    mask = Masker({"TOKEN": "secret-word"})
    assert mask("\udcff") == "\udcff"
    assert mask("\udcff secret-word") == "\ufffd\ufffd\ufffd [masked]"


def test_short_values_are_left_alone_in_base64_too() -> None:
    assert Masker({"TOKEN": "12345"})("MTIzNDU=") == "MTIzNDU="
    assert Masker({"TOKEN": "123456"})("MTIzNDU2") == "[masked]"


def test_the_short_end_of_base64_in_lines_is_left_alone() -> None:
    """77 characters of it are known, which are a line of 76 and one more."""
    secret = "swordfish " * 6
    last = base64.b64encode(secret[:58].encode()).decode()[76]
    assert Masker({"A_TOKEN": secret[:58]})(f"left alone: {last}") == f"left alone: {last}"


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


ODD = "begin1/+ü'x\"y$z`w\\q &<>\U0001f600%#?=;|é-end2"


def is_hidden(output: bytes) -> bool:
    """Tell whether nothing is left of ODD in what the page shows, not even escaped."""
    mask = Masker({"API_TOKEN": ODD})
    shown = "\n".join(mask(clean(line)) for line in output.split(b"\n"))
    words = re.sub(r"\\[0-7]{3}|[^a-z0-9]", "", shown.replace("API_TOKEN", "").lower())
    return "[masked]" in shown and not re.search("egin|nd2|ue0|c3a9", words)


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.parametrize(
    "command",
    [
        "bash -xc '[[ wrong == \"$API_TOKEN\" ]]'",
        "bash -xc ': \"$API_TOKEN\"'",
        'bash -xc \': "$API_TOKEN"$(printf "\\007")\'',
        'bash -c \'printf "%q\\n" "$API_TOKEN"\'',
        "bash -c 'declare -p API_TOKEN'",
        "bash -c 'export -p | grep API_TOKEN'",
        "bash -c 'set | grep API_TOKEN'",
        "bash -c 'echo \"${API_TOKEN@Q}\"'",
        "dash -xc ': \"$API_TOKEN\"'",
        "dash -c 'export -p | grep API_TOKEN'",
        "node -e 'console.log(encodeURIComponent(process.env.API_TOKEN))'",
        "node -e 'console.log(encodeURI(process.env.API_TOKEN))'",
        "node -e 'console.log(JSON.stringify(process.env.API_TOKEN))'",
        "node -e 'console.log([process.env.API_TOKEN])'",
        "node -e 'console.log(new URLSearchParams({a: process.env.API_TOKEN}).toString())'",
        'node -e \'const u = new URL("http://u@x"); u.password = process.env.API_TOKEN;'
        " console.log(u.href)'",
        "perl -MJSON::PP -e 'print JSON::PP->new->ascii->encode([$ENV{API_TOKEN}])'",
        "perl -MJSON::PP -e 'print encode_json([$ENV{API_TOKEN}])'",
        "perl -Mutf8 -MJSON::PP -e 'my $x = $ENV{API_TOKEN}; utf8::decode($x);"
        " print JSON::PP->new->ascii->encode([$x])'",
        "jq -n '$ENV.API_TOKEN'",
        "jq -na '$ENV.API_TOKEN'",
        "jq -nr '$ENV.API_TOKEN | @uri'",
        "jq -nr '$ENV.API_TOKEN | @html'",
        "jq -nr '$ENV.API_TOKEN | @sh'",
        "jq -nr '$ENV.API_TOKEN | @base64'",
    ],
)
def test_what_tools_make_of_a_secret(command: str, locale: str) -> None:
    if shutil.which(command.split()[0]) is None:
        pytest.skip(f"needs {command.split()[0]}")
    environ = {"PATH": os.environ["PATH"], "LC_ALL": locale, "API_TOKEN": ODD}
    result = subprocess.run(
        command, shell=True, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert is_hidden(result.stdout), result.stdout


ASTRAL = "begin1\U0001f600end2"


@pytest.mark.parametrize(
    "shown",
    [
        json.dumps(ODD),
        json.dumps(ODD, ensure_ascii=False),
        json.dumps(ODD).replace("/", "\\/"),  # PHP
        json.dumps(ODD, ensure_ascii=False).replace("&", "\\u0026").replace("<", "\\u003c"),  # Go
        repr(ODD),
        repr(ODD.encode()),
        html.escape(ODD),
        html.escape(ODD).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),  # Go
        html.escape(ODD).encode("ascii", "xmlcharrefreplace").decode(),
        # url.UserPassword in Go
        quote(ODD, safe="$&+,;="),
        quote(ODD, safe="$&+,;=").lower(),
        quote_plus(ODD),
        # %+q in Go
        json.dumps(ODD, ensure_ascii=False).replace("\U0001f600", "\\U0001f600"),
    ],
)
def test_what_programs_make_of_a_secret(shown: str) -> None:
    assert is_hidden(f"<{shown}>".encode())


CONTROLS = "one\ttwo\vthree\ffour\rfive\asix\bseven\x1beight\x01nine"


@pytest.mark.parametrize(
    "shown",
    [
        json.dumps(CONTROLS),
        repr(CONTROLS),
        r"'one\ttwo\vthree\ffour\rfive\asix\bseven\eeight\001nine'",
    ],
)
def test_control_characters(shown: str) -> None:
    assert Masker({"TOKEN": CONTROLS})(shown)[1:-1] == "[masked]"


def test_control_characters_by_bash() -> None:
    environ = {"PATH": os.environ["PATH"], "TOKEN": CONTROLS}
    result = subprocess.run(
        ["bash", "-c", 'printf "%q" "$TOKEN"'], env=environ, capture_output=True, check=True
    )
    assert Masker(environ)(clean(result.stdout)) == "$'[masked]'"


def test_characters_as_code_points() -> None:
    """ascii() in Python, and escape() in JavaScript."""
    mask = Masker({"TOKEN": "pässwörd"})
    assert mask(ascii("pässwörd")) == "'[masked]'"
    assert mask("p%E4ssw%F6rd") == "[masked]"


@pytest.mark.parametrize(
    "filler",
    [
        *("&#99999999;", "&#x110000;", "&#xd800;", "&bar;"),
        *(r"\U00110000", r"\ud800", r"\udc00", "\\", r"\8", "%zz"),
    ],
)
def test_what_only_looks_like_an_escape(filler: str) -> None:
    mask = Masker({"TOKEN": "secret-word"})
    assert mask(f"{filler} a%41 secret-word {filler}") == f"{filler} a%41 [masked] {filler}"


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=6),
    st.integers(0, 2**64),
)
def test_any_character_may_be_escaped(secret: str, which: int) -> None:
    text = clean(secret.strip().encode())
    assume(len(text) >= 6 and text == secret)
    mask = Masker({"TOKEN": secret})
    ways: list[Callable[[str], str]] = [
        lambda c: "".join(f"%{byte:02x}" for byte in c.encode()),
        lambda c: "".join(f"\\x{byte:02X}" for byte in c.encode()),
        lambda c: "".join(f"\\{byte:03o}" for byte in c.encode()),
        lambda c: json.dumps(c)[1:-1] if ord(c) > 126 or c in '\\"' else f"\\u{ord(c):04x}",
        lambda c: f"&#{ord(c)};",
        lambda c: f"\\{c}",
    ]
    escaped = {"%": "%", "\\": "\\", "&": "&"}
    for way in ways:
        sign = way("a")[0]
        shown = "".join(
            way(c) if which >> (at % 64) & 1 or c in escaped and c == sign else c
            for at, c in enumerate(text)
        )
        assert mask(f"<{shown}>") == "<[masked]>"


def test_secrets_that_overlap() -> None:
    mask = Masker({"A_TOKEN": "abcdef123456", "B_TOKEN": "123456uvwxyz", "C_TOKEN": "abcdef"})
    assert mask("<abcdef123456uvwxyz>") == "<[masked]>"
    assert mask("<abcdef>") == "<[masked]>"
    assert mask("abcdef, 123456uvwxyz") == "[masked], [masked]"
    assert mask("abcdefabcdef") == "[masked]"


@given(
    st.text("ab", min_size=6, max_size=9),
    st.text("ab", min_size=6, max_size=9),
    st.text("ab", max_size=40),
)
def test_every_occurrence_is_hidden(one: str, other: str, text: str) -> None:
    hidden = {
        place
        for secret in (one, other)
        for start in range(len(text))
        if text.startswith(secret, start)
        for place in range(start, start + len(secret))
    }
    expected = "".join("#" if at in hidden else character for at, character in enumerate(text))
    shown = Masker({"A_TOKEN": one, "B_TOKEN": other})(text)
    assert shown == re.sub("#+", "[masked]", expected)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("…secret-value and more", "…[masked] and more"),
        ("…cret-value and more", "…[masked] and more"),
        ("…-value and more", "…[masked] and more"),
        ("…value and more", "…value and more"),
        ("and more secret-value…", "and more [masked]…"),
        ("and more secret-va…", "and more [masked]…"),
        ("and more secret…", "and more [masked]…"),
        ("and more secre…", "and more secre…"),
        ("…", "…"),
        ("…cret-value…", "…[masked]…"),
        ("cret-value and more secret-va", "cret-value and more secret-va"),
        ("…ababababab and more", "…[masked] and more"),
        ("and more ababababab…", "and more [masked]…"),
    ],
)
def test_half_a_secret_where_a_line_was_cut(line: str, shown: str) -> None:
    assert Masker({"A_TOKEN": "secret-value", "B_TOKEN": "abababababab"})(line) == shown


@given(
    st.text("abcXYZ019/+-_ü", min_size=8, max_size=60),
    st.binary(max_size=9),
    st.binary(max_size=9),
)
def test_inside_a_longer_base64_text(secret: str, before: bytes, after: bytes) -> None:
    mask = Masker({"TOKEN": secret})
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(before + secret.encode() + after).decode()
        # Of the characters at the edges only a part of the bits is the secret's. Where
        # nothing follows, the last one is known all the same.
        start = -(-8 * len(before) // 6)
        end = 8 * (len(before) + len(secret.encode())) // 6
        alone = encode(secret.encode()).decode().rstrip("=")
        if len(before) % 3 == 0 and encoded.startswith(alone, start):
            end = start + len(alone)
        # A secret that repeats itself may be found a second time, beginning inside the first.
        left, right = mask(encoded).split("[masked]")
        assert encoded.startswith(left) and len(left) <= start
        assert encoded.endswith(right) and len(right) <= len(encoded) - end


@pytest.mark.parametrize("width", [64, 76])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@given(secret=st.binary(min_size=60, max_size=240))
def test_base64_in_lines(encode: Callable[[bytes], bytes], width: int, secret: bytes) -> None:
    secret = b"<" + secret.replace(b"\n", b"?").replace(b"\0", b"~") + b"?>"
    mask = Masker({"TOKEN": os.fsdecode(secret)})
    encoded = encode(secret + b"\n").decode()
    known = 8 * len(secret) // 6
    assume(known > width)
    for at in range(0, len(encoded), width):
        line = encoded[at : at + width]
        part = min(max(known - at, 0), width)
        expected = f"[masked]{line[part:]}" if part >= 6 else line
        assert mask(line) == expected


def test_base64_in_lines_by_a_tool() -> None:
    secret = "long secret " * 20
    mask = Masker({"TOKEN": secret})
    result = subprocess.run(["base64"], input=secret.encode(), capture_output=True, check=True)
    assert {mask(line) for line in result.stdout.decode().splitlines()[:-1]} == {"[masked]"}


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


@pytest.mark.parametrize("filler", ["\\0", "\\x1b[0m", "|\\b"])
@pytest.mark.parametrize("position", [0, 1, 4, 9])
def test_half_a_secret_before_what_is_not_shown(
    shim: Shim, python_script: Write, filler: str, position: int
) -> None:
    """Cleaning makes so little of a fragment that the place where it was cut is shown."""
    path = python_script(
        "import os, sys\n"
        "token = os.environ['MY_TOKEN'].encode()\n"
        f"filler = b'{filler}' * 70_000\n"
        f"data = b'\\0' * (65_536 - len(token) + {position}) + token + filler\n"
        f"data += b'\\0' * {position} + b'x' * 100_000 + token + filler\n"
        "while data: data = data[os.write(2, data[:4096]):]\n"
        "sys.exit(1)\n"
    )
    run = shim.run(path, env={"MY_TOKEN": "one-two-three-four-five-six"}, stderr=subprocess.DEVNULL)
    shown = " ".join(run.errors)
    assert not re.search("one-t|o-thr|three|-four|five-|e-six", shown), shown


@pytest.mark.parametrize("position", range(6, 27, 3))
def test_half_a_secret_where_a_long_line_of_two_streams_is_cut(position: int) -> None:
    token = b"one-two-three-four-five-six"
    output = ScriptOutput(merged=True)
    output.feed_stderr(b"\0" * 66_000 + token[:position])
    output.feed_stdout(b"out\n")
    output.feed_stderr(token[position:] + b" rest\n")
    editor = Editor(Server.V3, Masker({"MY_TOKEN": token.decode()}))
    errors = failure([], editor, output.captured("both")[0]).errors
    assert errors[1] == "out"
    shown = " ".join(errors)
    assert not re.search("one-t|o-thr|three|-four|five-|e-six", shown), shown


@pytest.mark.parametrize("position", [0, 5, 20, 25])
def test_half_a_secret_in_the_last_line_of_the_other_stream(
    shim: Shim, python_script: Write, position: int
) -> None:
    path = python_script(
        "import os, sys\n"
        "data = b'x' * 200_000 + os.environ['MY_TOKEN'].encode() + b'y' * 65_536\n"
        f"data = data[:-{position} or None]\n"
        "while data: data = data[os.write(1, data[:4096]):]\n"
        "sys.exit(1)\n"
    )
    env = {"MY_TOKEN": "one-two-three-four-five-six"}
    [error] = shim.run(path, env=env, stdout=subprocess.DEVNULL).errors
    assert error.endswith("y" * 400)
    assert not re.search("one-t|o-thr|three|-four|five-|e-six", error), error


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


@pytest.mark.parametrize(
    ("env", "words"),
    [
        (
            {"DB_PASSWORD": "s3cret-value", "SHIM_GRACE_PERIOD": "x" * 70 + " s3cret-value x"},
            "SHIM_GRACE_PERIOD is wrong; expected a duration",
        ),
        ({"SHIM_PUSHGATEWAY_URL": "htp://bob:s3cret-value@push:9091"}, '"htp://bob:[masked]@push'),
        ({"SHIM_PUSHGATEWAY_URL": "bob:s3cret-value@push:9091"}, '"bob:[masked]@push:9091"'),
        ({"SHIM_PUSHGATEWAY_URL": "http://bob:s3cret/value@push"}, '"http://bob:[masked]@push"'),
        ({"SHIM_QUIT_URL": "http:/bob:s3cret-value@x"}, '"http:/bob:[masked]@x"'),
        (
            {"SHIM_ARGS": "-u bob -p 's3cret-value"},
            "SHIM_ARGS is wrong; expected words quoted as in a shell, each quote closed.",
        ),
        ({"SHIM_INTERPRETER": "env A=http://b:s3cret-value@x '"}, "A=http://b:[masked]@x '\""),
    ],
)
def test_a_wrong_setting_does_not_show_a_password(
    shim: Shim, env: dict[str, str], words: str
) -> None:
    run = shim.run(env={"SHIM_SCRIPT": "a", **env})
    assert run.exit_status == 78
    assert words in run.errors[0]
    result = subprocess.run(
        [*KHSHIM, "doctor"], env={**shim.environ, "SHIM_SCRIPT": "a", **env}, capture_output=True
    )
    assert words in result.stdout.decode()
    for output in (" ".join(run.errors).encode(), run.stderr, result.stdout):
        assert b"s3cret" not in output and b"value" not in output


def test_sentences_are_masked_too(shim: Shim) -> None:
    run = shim.run("/no/s3cret-folder/x", env={"A_SECRET": "s3cret-folder"})
    assert "s3cret" not in run.errors[0]


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "text", ["\\a", "%41", "+", "&amp;", "'\\''", "\\u00fc", "\\", "%", "&", "a"]
)
@pytest.mark.parametrize("secret", ["a" * 50_000, "ab" * 25_000, "ba" * 25_000])
def test_escapes_and_repeated_characters_take_no_longer(text: str, secret: str) -> None:
    mask = Masker({"A_TOKEN": secret, "B_TOKEN": "a-secret"})
    line = text * (60_000 // len(text))
    assert mask(f"…{line} a-secret…").endswith(" [masked]…")


@pytest.mark.timeout(10)
@pytest.mark.parametrize("value", ["://a:" * 25_000, ":a" * 60_000, "://" * 40_000, "/" * 120_000])
def test_a_long_value_that_may_be_a_url_takes_no_longer(value: str) -> None:
    assert Masker({"A_URL": value, "A_CREDENTIAL": value})("x") == "x"


@pytest.mark.timeout(10)
def test_a_long_secret_and_much_output_take_no_longer_than_they_are() -> None:
    """A key file of 40 KB has some 10,000 forms; one at a time they took half a minute."""
    lines = [sha256(b"%d" % number).hexdigest() for number in range(3600)]
    mask = Masker({"TLS_KEY": "\n".join(lines[:600])})
    text = " ".join(lines[600:])
    assert mask(f"{text} {lines[300]}") == f"{text} [masked]"


def test_a_value_of_two_lines_as_base64() -> None:
    encoded = base64.b64encode(b"first line\nsecond line").decode()
    assert Masker({"A_KEY": "first line\nsecond line"})(encoded) == "[masked]=="


def test_an_escaped_password_in_a_url_as_base64() -> None:
    url = "https://bob:s3cr%40t-password@host"
    encoded = base64.b64encode(url.encode()).decode()
    assert Masker({"DB": url})(encoded) == f"{encoded[:16]}[masked]{encoded[38:]}"


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


def test_the_password_in_a_url_that_is_an_argument(shim: Shim, script: Write) -> None:
    path = script('#!/bin/sh\necho "$1 does not answer" >&2; exit 1\n')
    run = shim.run(path, "http://user:swordfish@web/")
    assert run.errors == ["http://user:[masked]@web/ does not answer"]

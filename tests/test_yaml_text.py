"""What `khshim manifest` writes, read by the parsers of the tools that bring it into a cluster."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shim.commands.yaml_text import to_yaml
from tests.support.go_parsers import GoParsers

pytestmark = pytest.mark.whole_run

# What some parser takes for something else than the string that it is.
ODD = """
    y Y n N yes Yes YES no No NO on On ON off Off OFF true True TRUE false False FALSE
    ~ null Null NULL = << * & ! % @ ` - ? : - -- --- ... , [ ] { } # | > ' " \\ \\\\ .
    0 -0 +1 08 09 007 0o17 0O17 0b1 0B1 -0b1 0x1F 0X1f 1_000 0_1 1e3 1e-3 1E3 1.5 1234e56 123e4
    .5 5. -.5 +.5e3 . .. .inf -.inf +.INF .nan .NaN inf nan Infinity 0x1p4 1__0 _1 1_
    12:30:45 1:20 -1:20 190:20:30.15 2001-01-01 2001-1-1 2001-12-14t21:59:43.10-05:00
    5m 10Mi 1e3Mi 3.14.15 a: a:b :a a# a#b #a -a ?a !a &a *a @a %a a,b [a] {a} a] a} "a" 'a' a'b
    !!str !!int &anchor *alias %YAML @at `back` <<: key: http://web:80/?a=b#c 99999999999999999999
""".split() + [
    "", " ", " a", "a ", "a b", "a: b", "a #b", "- a", "? a", "--- a", "a\tb", "\ta", "a\\",
    "2001-12-14 21:59:43", "a\nb", "a\n", "\n", "\na", "a\n\n", " a\nb", "a\n b", "a \nb", "---\na",
    "a\n---\nb", "a\n...\n", "\n---\n", "\0", "\a", "\x1b[0m", "\x7f", "\x80", "\x85", "\xa0",
    "\u2028", "\u2029", "\ufeff", "\ufffe", "\uffff", "a\x85b\n", "a\u2028b\n", "a\r\nb\r\n",
    "a\rb", "\ufeffa\n", "ü", "ümlaut\nz\n", "\U0001f600", "a\U0001f600\nb\n", "x" * 200,
    "x y " * 200, "x" * 2000 + "\n", "#!/bin/sh\n\techo tab\t; echo 'blank at the end' \n\n  x\n",
]  # fmt: skip


def assert_all_read(documents: list[Any], go: GoParsers) -> None:
    text = to_yaml(documents)
    assert list(yaml.safe_load_all(text)) == documents
    assert go.read(text) == documents


# The first build compiles Go's standard library.
@pytest.mark.timeout(300)
@pytest.mark.parametrize("text", ODD)
def test_odd_strings(go: GoParsers, text: str) -> None:
    key = text[:999]
    assert_all_read([{"value": text}, {"list": [text, {key: text}]}, {key: {key: "x"}}], go)


@pytest.mark.timeout(300)
def test_odd_shapes(go: GoParsers) -> None:
    block = "a\n\n  b\n\n"
    shapes = [
        {},
        [],
        {"a": {}},
        [[]],
        [["a", ["b"]], [{"c": ["d"]}]],
        [block, {"a": block, "b": "c"}],
    ]
    assert_all_read([{"a": shape, "b": [shape, shape]} for shape in shapes], go)
    assert_all_read([{"a": True, "b": [False, 0, 65532, -1], "c": block}], go)


@pytest.mark.timeout(300)
def test_texts_one_behind_the_other_are_one_stream(go: GoParsers) -> None:
    documents: list[list[Any]] = [[{"a": "1"}, {"b": "x\n"}], [{"c": "x\n\n"}], [{"d": {}}]]
    text = "".join(map(to_yaml, documents))
    assert go.read(text) == list(yaml.safe_load_all(text)) == sum(documents, [])


TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text("ab \t\r\n#:|>-'\"\\\x85\u2028"),
    st.text("0123456789abcdefoxABEF+-._:~ ", max_size=12),
    st.sampled_from(ODD),
)


@pytest.mark.timeout(300)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.dictionaries(TEXTS.map(lambda text: text[:999]), TEXTS | st.lists(TEXTS), min_size=1),
        min_size=1,
        max_size=3,
    )
)
@example([{"a": "a\x85b\n", "b": "\x85"}])
def test_any_string(go: GoParsers, documents: list[Any]) -> None:
    assert_all_read(documents, go)

"""Values that a check must refuse, by what they would have to be."""

from __future__ import annotations

# What is no number to a person, though some of it is one to a shell, to curl or to Python.
NO_NUMBER = (
    *("", " ", "abc", "-1", "+1", "--help", "99%", "10s", "100ms", "1e3", "0x10", "08", " 5", "5 "),
    *("1 2", "nan", "NaN", "inf", "-inf", "1,5", "1_000", "٣", "1.", ".5", "1.2.3", "*", "5\n6"),
    *("$(id)", "99999999999999999999", "9" * 5000),
)
NO_WHOLE_NUMBER = (*NO_NUMBER, "1.5", "0.0001", "5.0")
NO_PORT = (*NO_WHOLE_NUMBER, "0", "65536", "0443", "http")
NO_HOST = (
    *("", " ", "a b", " localhost", "localhost ", "-x", "a..b", ".localhost", "x" * 64, "\udcff"),
    *("http://localhost", "localhost/", "localhost:443", "[::1]", "me@localhost", "*", "5", "08"),
)
NO_DURATION = (
    "",
    " ",
    "abc",
    "-1",
    "-1s",
    "+1s",
    "1d",
    "5 m",
    "1e3",
    "0x10",
    "٣",
    "1.2.3s",
    "*",
    "9" * 30,
)
NO_FLAG = ("", " ", "yes", "True", "1", "0")
NO_NAMESPACE = ("", " ", "Shop", "a.b", "-x", "x-", "a/b", "**", "../pods", "x" * 64, "shop\n")
NO_SELECTOR = (
    "",
    " ",
    "a b",
    "=x",
    "a=b=c",
    ",",
    "a=1,",
    "a&limit=1",
    "a in",
    "a in (b",
    "a\n",
    "-x",
    "é=1",
)
NO_OBJECTS = ("", " ", "Web", "a/b", "-x", "../x", "a_b")
NO_API = (
    *("", " ", "localhost", "127.0.0.1:8001", "https://127.0.0.1:6443", "http://", "ftp://x"),
    *("http://127.0.0.1:99999", "http://127.0.0.1:x", "http://a b", "http://x/?y=1", "http://x\n"),
)

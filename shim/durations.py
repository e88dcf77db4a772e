"""Durations in the syntax of Go's time.ParseDuration, as `runInterval` takes them."""

# A unit comes before one that it begins with ("ms" before "m").
UNITS = (
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("μs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
)


# Seconds; Go counts nanoseconds in 63 bits, which is 292 years.
LONGEST = 2**63 / 1e9


def parse_go(text: str) -> float:
    """Return the seconds in `text`, such as "90s", "1m30s" or "1.5h".

    Raises ValueError for everything that Go refuses, and for negative durations: a bare
    number other than 0, "1d", "5 m", "-1s", "".
    """
    if text == "0":
        return 0.0
    seconds, rest = 0.0, text
    while rest:
        number = rest[: len(rest) - len(rest.lstrip("0123456789."))]
        rest = rest[len(number) :]
        unit = next(((u, factor) for u, factor in UNITS if rest.startswith(u)), None)
        if unit is None or not number.isascii():
            raise ValueError(text)
        seconds += float(number) * unit[1]
        rest = rest[len(unit[0]) :]
    if not text or seconds > LONGEST:
        raise ValueError(text)
    return seconds


def parse(text: str) -> float:
    """Return the seconds in `text`, in Go's syntax or as a plain number; raises ValueError."""
    if text.replace(".", "", 1).isdecimal() and text.isascii():
        text += "s"
    return parse_go(text)


def show(seconds: float) -> str:
    """Return `seconds` formatted for people: "0.25 s", "12.3 s", "1 m 30 s"."""
    if seconds < 0.995:
        return f"{seconds:.2f} s"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return " ".join(f"{value} {unit}" for value, unit in parts if value)

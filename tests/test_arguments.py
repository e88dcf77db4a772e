"""Wrong usage of the commands that have options."""

from __future__ import annotations

import pytest

from shim import exit_status
from shim.commands.arguments import Parser


@pytest.mark.parametrize("words", [["--unknown"], ["--count", "x"], ["--count"], ["word"]])
def test_wrong_usage_is_one_line_and_sysexits_status(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    parser = Parser("khshim try")
    parser.add_argument("--count", type=int)
    with pytest.raises(SystemExit) as exit:
        parser.parse_args(words)
    assert exit.value.code == exit_status.WRONG_USAGE
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith("khshim try: ") and words[0] in err

"""The printed message of every diagnostic, place and marker included: tests/tunes/invalid.

Each NAME.abc has a NAME.txt with what `python -m abc_tools check` prints about it. To accept
changed messages: `python tests/test_abc_messages.py`, then read the difference.
"""

import re
from pathlib import Path

import pytest

from abc_tools import decode_bytes, parse_tune, split_tunes
from abc_tools.__main__ import check_text
from abc_tools.checks import check_tune

TUNES = Path(__file__).parent / "tunes"
INVALID = sorted((TUNES / "invalid").glob("*.abc"))
VALID = sorted((TUNES / "valid").glob("*.abc"))


def printed(path: Path) -> str:
    report = check_text(path.name, decode_bytes(path.read_bytes()))
    return "".join(
        f"{one.severity} {one.code}\n{one.format(path.name)}\n" for one in report.diagnostics
    )


def test_the_folders_of_tunes_are_not_empty():
    assert len(INVALID) >= 50
    assert len(VALID) >= 10


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_an_invalid_tune_gets_exactly_this_message(path):
    assert printed(path) == path.with_suffix(".txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_a_valid_tune_gets_no_message(path):
    assert printed(path) == ""


def test_every_code_in_the_source_has_a_tune_that_shows_it():
    sources = Path(check_text.__code__.co_filename).parent
    written = set()
    for name in ("music", "signs", "parser", "fields", "checks", "bar_checks"):
        text = (sources / f"{name}.py").read_text(encoding="utf-8")
        written |= set(re.findall(r'"(?:error|warning)", "([a-z-]+)"', text))
        written |= set(re.findall(r'FieldError\(\s*"([a-z-]+)"', text))
    assert len(written) >= 25
    shown = set()
    for path in INVALID:
        shown |= set(re.findall(r"^(?:error|warning) ([a-z-]+)$", printed(path), re.MULTILINE))
    # A tune of over 100,000 characters is made in test_abc_limits.py.
    assert written - shown == {"too-long"}


def test_lines_count_from_the_start_of_the_file():
    text = "X:1\nT:one\nK:C\nC|\n\nX:2\nT:two\nK:C\nD]|\n"
    tunes = [parse_tune(tune) for tune in split_tunes(text)]
    assert [(one.line, one.column) for one in check_tune(tunes[1])] == [(9, 2)]


def test_the_message_of_the_handbook():
    text = "X:1\nT:Kesh\nM:6/8\nL:1/8\nK:G\n|:GEG GAB|c2e dBA GE|\n"
    worst = next(one for one in check_tune(parse_tune(text)) if one.code == "bar-too-long")
    assert worst.format("tunes/kesh.abc") == (
        "tunes/kesh.abc:6:11: bar 2 lasts 8/8 but the meter is 6/8\n"
        "    |:GEG GAB|c2e dBA GE|\n"
        "              ~~~~~~~~~~"
    )


if __name__ == "__main__":
    for path in INVALID:
        path.with_suffix(".txt").write_text(printed(path), encoding="utf-8")

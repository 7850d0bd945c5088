"""Any text whatever gets a verdict, soon: hostile texts, hypothesis, and a bounded fuzz run."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_abc_corpus import corpus_tunes

from abc_tools import (
    AbcError,
    canonical_text,
    check_tune,
    decode_bytes,
    parse_tune,
    passes_gate,
    split_tunes,
    to_midi,
    transpose,
    unfold,
)
from abc_tools.__main__ import check_text
from abc_tools.midi import MidiOptions
from abc_tools.unfold import MAX_SOUNDING_NOTES

HEAD = "X:1\nT:t\nM:4/4\nL:1/8\nK:G\n"
TINY = Path(__file__).parent / "tiny_corpus.abc"
HOSTILE = {
    "a line of 200,000 characters": HEAD + "GABc dedB|" * 20_000,
    "90,000 open slurs": HEAD + "(" * 90_000 + "G|",
    "50,000 open chords": HEAD + "[" * 50_000,
    "50,000 open braces": HEAD + "{" * 50_000,
    "50,000 quotation marks": HEAD + '"' * 49_999,
    "a chord of 50,000 notes": HEAD + "[" + "G" * 50_000 + "]|",
    "50,000 grace notes": HEAD + "{" + "g" * 50_000 + "}G|",
    "parts that explode": "X:1\nP:" + "(" * 60 + "A9" + ")9" * 60 + "\nK:C\nP:A\nG|\n",
    "parts within parts": "X:1\nP:" + "(" * 5000 + "A" + ")" * 5000 + "\nK:C\nP:A\nG|\n",
    "a repeat of 9,999 passes": HEAD + "|" + ":" * 10_000 + "GABc dedB|" * 500 + ":" * 10_000 + "|",
    "an ending of many numbers": HEAD + "|:G8|[" + ",".join("1-99" for _ in range(500)) + " A8:|",
    "a rest of very many bars": HEAD + "Z999999999999|" * 100,
    "numbers of 9,999 digits": HEAD + "G" + "9" * 9_999 + "/" + "9" * 9_999 + "|(" + "9" * 9_999,
    "10,000 slashes": HEAD + "G" + "/" * 10_000 + "|",
    "10,000 commas": HEAD + "G" + "," * 10_000 + "|",
    "50,000 voices": HEAD + "".join(f"[V:{number}]G|" for number in range(50_000)),
    "20,000 fields": HEAD + "[K:G]G[M:3/4]G[L:1/16]G" * 4_000,
    "5,000 lines without a newline at their end": HEAD + "G\r" * 5_000,
    "an unclosed block": HEAD + "%%begintext\n" * 5_000,
    "50,000 stray characters": HEAD + "#" * 50_000,
    "30,000 headers": "X:1\n" * 30_000,
    "nothing but newlines": "\n" * 200_000,
    "nothing but nulls": "\0" * 200_000,
    "a million letters": "A" * 1_000_000,
    "long runs of broken rhythm": HEAD + "G>" * 40_000,
    "tuplets without notes": HEAD + "(3" * 40_000,
    "100,000 spaces": HEAD + "G" + " " * 99_000 + "\n" + "G" + "`" * 1_000,
    "line breaks": HEAD + "!" * 50_000 + "G" + "$" * 40_000 + "G",
    "unclosed fields": HEAD + "[K:" * 30_000,
    "a header of 50,000 lines": "X:1\n" + "|\n" * 40_000 + "K:C\n",
    "a header without an end": "X:1\n" + "G|\n" * 30_000,
    "equals signs": HEAD + "= " * 50_000,
    "overlays": HEAD + "G&" * 40_000,
    "ties": HEAD + "G-" * 40_000,
}
PIECES = [
    "|", ":|", "|:", "::", "[1", "[2", "|1", ":|2", "||", "|]", "[|", "(3", "(5:4:5", "(", "A",
    "b2", "c/", "^d", "_e", "=f", "[CEG]", "[", "[C-E]2", "{g}", "{", "}", '"Am"', '"', "!trill!",
    "!", "-", ">", "<", ">>", "z", "Z", "Z4", "x", "X", "y", "&", "[K:G]", "[M:3/4]", "[L:1/16]",
    "[V:2]", "[P:A]", "[Q:1/4=99]", "\nK:Dmix\n", "\nM:C|\n", "\nL:1/4\n", "\nP:B\n", "\nV:2\n",
    "\nw:la\n", "\n", "%", "%%begintext\n", "\\\n", "~", ".", "u", "0", "9", "99999", "/", "//",
    "\x00", "é", "\t", ",", "'", "\nX:2\nT:x\nK:C\n", "[1,3", "[2-9", "::|", "|::", ":", "(9:9:9",
    "+", "*", "$", "#", "@", ";", "?", "`", "U:T=!x!", "\nI:propagate-accidentals not\n", "\n\n",
    "P:A2(AB)3\n",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_text_gets_a_verdict_in_two_seconds(name):
    start = time.process_time()
    report = check_text("x.abc", decode_bytes(HOSTILE[name].encode("utf-8")))
    assert time.process_time() - start < 2
    assert report.unreadable or report.bars or report.diagnostics


def test_a_tune_of_over_100_000_characters_is_cut_and_says_so():
    tune = parse_tune(HEAD + "GABc dedB|" * 20_000)
    assert [one.code for one in tune.diagnostics] == ["too-long"]
    assert len(unfold(tune).notes) <= MAX_SOUNDING_NOTES + 8


def survives(text: str) -> None:
    """Everything that can be asked of a text, and what must hold of any."""
    check_text("x.abc", text)
    try:
        tune = parse_tune(text)
    except AbcError:
        return
    check_tune(tune)
    result = to_midi(tune, MidiOptions(chords=True, ornaments=True, swing=True))
    assert len(result.onsets_ms) == len(result.spans)
    assert all(tune.source[start:end].strip() for start, end in result.spans)
    passes_gate(tune)
    canonical = canonical_text(tune)
    again = parse_tune(canonical)
    assert canonical_text(again) == canonical
    before, after = unfold(tune).notes, unfold(again).notes
    assert [note[:3] for note in before] == [note[:3] for note in after]
    plain = canonical_text(tune, plain=True, title=False)
    assert canonical_text(parse_tune(plain), plain=True, title=False) == plain
    if tune.key.tonic and tune.key.tonic != "HP":
        try:
            transpose(tune, "Bb")
        except ValueError as error:
            assert "tonic" in str(error)


@settings(max_examples=150)
@given(st.text())
def test_arbitrary_text_survives(text):
    survives(text)


@settings(max_examples=150)
@given(st.binary(max_size=400))
def test_arbitrary_bytes_survive(data):
    survives(decode_bytes(data))


@settings(max_examples=150)
@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_arbitrary_pieces_of_abc_survive(body):
    survives(HEAD + body)


def mutate(text: str, rng: random.Random) -> str:
    """A tune with a few pieces put in, taken out or doubled."""
    letters = list(text)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        place = rng.randrange(len(letters) + 1)
        end = min(len(letters), place + rng.randrange(1, 40))
        action = rng.random()
        if action < 0.4:
            letters[place:place] = rng.choice(PIECES)
        elif action < 0.7:
            del letters[place:end]
        elif action < 0.9:
            letters[place:place] = letters[place:end] * rng.choice((1, 2, 8))
        else:
            letters[place:place] = chr(rng.choice((rng.randrange(256), rng.randrange(0x3000))))
    return "".join(letters)


def fuzzed(count: int, seed: int) -> Iterator[str]:
    """Texts from one seed: bytes of any kind, pieces of ABC in any order, mutated tunes."""
    rng = random.Random(seed)
    tunes = [tune.text for tune in split_tunes(TINY.read_text(encoding="utf-8"))]
    tunes += [tune.text for tune in corpus_tunes(step=20)]
    for _ in range(count):
        kind = rng.random()
        if kind < 0.1:
            yield decode_bytes(rng.randbytes(rng.randrange(400)))
        elif kind < 0.2:
            yield HEAD + decode_bytes(rng.randbytes(rng.randrange(400)))
        elif kind < 0.5:
            yield HEAD + "".join(rng.choice(PIECES) for _ in range(rng.randrange(100)))
        else:
            yield mutate(rng.choice(tunes), rng)


def test_120_fuzzed_texts_survive():
    for text in fuzzed(120, seed=1):
        survives(text)


@pytest.mark.long
def test_100_000_fuzzed_texts_get_a_verdict_in_two_seconds():
    slowest = 0.0
    for number, text in enumerate(fuzzed(100_000, seed=2)):
        start = time.process_time()
        check_text("x.abc", text)
        slowest = max(slowest, time.process_time() - start)
        if number % 50 == 0:
            survives(text)
    assert slowest < 2

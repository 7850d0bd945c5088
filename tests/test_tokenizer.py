"""Tokenizer: lexemes, exact round trips, fallbacks, saving."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from musicgen.tokenizer import (
    build_tokenizer,
    decode_tune,
    encode_prompt,
    encode_tune,
    lexemes,
)

TUNE = (
    "X:1\nR:reel\nM:4/4\nL:1/8\nK:Ador\n"
    "|:GEGc GAB^c|c2e2 (3dBA z2|A3/2B/2 _e2|1d4-d4:|2[K:G]c'4C,4|]\n"
)
GRANULARITIES = ("joined", "spaces-apart", "lengths-apart")


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return build_tokenizer([TUNE], min_count=1)[0]


def test_a_note_with_its_length_and_the_space_before_it_is_one_lexeme() -> None:
    assert lexemes("|:GE2 ^c/2 (3abc|1 _B,,3/2-A:|2\n") == [
        "|:", "G", "E2", " ^c/2", " (3", "a", "b", "c", "|1", " _B,,3/2", "-", "A", ":|2\n",
    ]  # fmt: skip


def test_header_lines_are_one_lexeme_each_only_at_the_start_of_a_line() -> None:
    assert lexemes("K:Ador\nM:6/8\n") == ["K:Ador\n", "M:6/8\n"]
    assert lexemes("dK:D\n")[:3] == ["d", "K", ":"]


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_every_granularity_gives_the_tune_back_exactly(granularity: str) -> None:
    tokenizer, report = build_tokenizer([TUNE], granularity=granularity, min_count=1)
    assert report.rare == 0
    assert decode_tune(tokenizer, encode_tune(tokenizer, TUNE)) == TUNE


def test_joined_lexemes_make_fewer_tokens_than_lengths_apart() -> None:
    counts = [
        len(encode_tune(build_tokenizer([TUNE], granularity=name, min_count=1)[0], TUNE))
        for name in ("joined", "lengths-apart")
    ]
    assert counts[0] < counts[1]


@given(text=st.text(max_size=60))
def test_any_text_whatever_is_encoded_and_comes_back(text: str) -> None:
    tokenizer = _cached()
    assert decode_tune(tokenizer, encode_tune(tokenizer, text)) == text


_CACHE: list[PreTrainedTokenizerFast] = []


def _cached() -> PreTrainedTokenizerFast:
    if not _CACHE:
        _CACHE.append(build_tokenizer([TUNE], min_count=1)[0])
    return _CACHE[0]


def test_marks_written_in_a_text_are_text(tokenizer: PreTrainedTokenizerFast) -> None:
    ids = encode_tune(tokenizer, "<end>")
    assert ids[-1] == tokenizer.eos_token_id
    assert tokenizer.eos_token_id not in ids[:-1]


def test_a_rare_lexeme_is_spelled_out_and_counted() -> None:
    tokenizer, report = build_tokenizer([TUNE] * 4 + ["X:1\nK:D\nd17|\n"], min_count=2)
    assert report.rare == 3  # "d17", "K:D\n" and the bar line with its line break
    assert decode_tune(tokenizer, encode_tune(tokenizer, "K:D\nd17|\n")) == "K:D\nd17|\n"


def test_the_saved_tokenizer_opens_with_transformers_and_agrees(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert encode_prompt(again, TUNE) == encode_prompt(tokenizer, TUNE)
    assert encode_tune(again, "<end>") == encode_tune(tokenizer, "<end>")
    assert (again.bos_token, again.eos_token, again.pad_token) == ("<tune>", "<end>", "<pad>")

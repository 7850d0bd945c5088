"""ABC text <-> token ids: one token a lexeme, a Hugging Face fast tokenizer.

A lexeme is what a player reads at once: a note with its accidental, octave and length, a bar line
with the line break behind it, a tuplet mark, a whole header line. The space that opens a beat group
belongs to the note behind it, so it costs no token and tells the model where the beat falls:

    "|:GEG GAB|c2e dBA|" -> "|:" "G" "E" "G" " G" "A" "B" "|" "c2" "e" " d" "B" "A" "|"

A lexeme outside the vocabulary falls back to its characters, a character outside ASCII to its UTF-8
bytes, so any text whatever can be encoded and decodes to itself.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

PAD, BEGIN, END = "<pad>", "<tune>", "<end>"

Granularity: TypeAlias = Literal["joined", "spaces-apart", "lengths-apart"]

_LENGTH = r"(?:[0-9]+(?:/[0-9]+)?|/[0-9]+)"
_PITCH = r"(?:[_^=]{0,2}[A-Ga-g][,']*|[zx])"
_HEADER = r"(?:^|(?<=\n))[A-Za-z]:[^\n]{0,24}\n"
_BAR_LINE = r"(?:\[\||:*\|+[:\]]?|::)(?:[0-9](?:[,-][0-9])*)?\n?"
_TUPLET = r"\([2-9](?::[0-9]?)?(?::[0-9])?"
_INLINE_FIELD = r"\[[A-Za-z]:[^\]\n]{0,24}\]"

_LEXEMES: dict[Granularity, str] = {
    "joined": "|".join(
        [_HEADER, _INLINE_FIELD, _BAR_LINE, " ?" + _TUPLET, f" ?{_PITCH}{_LENGTH}?"]
    ),
    "spaces-apart": "|".join([_HEADER, _INLINE_FIELD, _BAR_LINE, _TUPLET, f"{_PITCH}{_LENGTH}?"]),
    "lengths-apart": "|".join(
        [_HEADER, _INLINE_FIELD, _BAR_LINE, " ?" + _TUPLET, f" ?{_PITCH}", _LENGTH]
    ),
}


@dataclass(frozen=True)
class TokenizerReport:
    """What a vocabulary was made of, for the model card."""

    size: int  # entries, special tokens and fallbacks included
    lexemes: int  # entries seen in the texts
    rare: int  # lexemes left to the fallback because they were seen too seldom


def lexemes(text: str, granularity: Granularity = "joined") -> list[str]:
    r"""Cut `text` into lexemes; what belongs to none is one character each. Joins back to `text`.

    >>> lexemes("|:GE2 ^c/2|\n")
    ['|:', 'G', 'E2', ' ^c/2', '|\n']
    """
    pattern = re.compile(f"{_LEXEMES[granularity]}|.", re.DOTALL)
    return pattern.findall(text)


def build_tokenizer(
    texts: Iterable[str], *, granularity: Granularity = "joined", min_count: int = 5
) -> tuple[PreTrainedTokenizerFast, TokenizerReport]:
    """A tokenizer whose vocabulary is every lexeme seen at least `min_count` times in `texts`."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(lexemes(text, granularity))
    kept = sorted(
        (word for word, count in counts.items() if count >= min_count and len(word) > 1),
        key=lambda word: (-counts[word], word),
    )
    characters = ["\n", *map(chr, range(32, 127))]
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    vocabulary = {
        word: index
        for index, word in enumerate([PAD, BEGIN, END, *kept, *characters, *byte_tokens])
    }
    # `ignore_merges` looks a whole lexeme up first; with no merges the rest falls to characters.
    model = models.BPE(vocab=vocabulary, merges=[], ignore_merges=True, byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(
        Regex(_LEXEMES[granularity]), behavior="isolated"
    )
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BEGIN,
        eos_token=END,
        clean_up_tokenization_spaces=False,
        split_special_tokens=True,  # "<end>" in somebody's text is text
    )
    report = TokenizerReport(
        size=len(fast),
        lexemes=len(kept),
        rare=sum(1 for word, count in counts.items() if count < min_count and len(word) > 1),
    )
    return fast, report


def encode_tune(tokenizer: PreTrainedTokenizerFast, abc: str) -> list[int]:
    """Token ids of a whole tune, begin and end marks included: what every model is trained on."""
    return [*encode_prompt(tokenizer, abc), tokenizer.eos_token_id]


def encode_prompt(tokenizer: PreTrainedTokenizerFast, abc: str) -> list[int]:
    """Token ids of a tune's beginning: the begin mark, then `abc`, no end mark."""
    ids = tokenizer.encode(abc, add_special_tokens=False)
    return [tokenizer.bos_token_id, *ids]


def decode_tune(tokenizer: PreTrainedTokenizerFast, ids: Sequence[int]) -> str:
    """The text of token ids, marks and padding left out."""
    return tokenizer.decode(list(ids), skip_special_tokens=True)

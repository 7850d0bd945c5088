"""A given tune with some of its bars drawn anew, and the middle between two given passages.

In both all that is given stays as it is, note for note; redraw.py says how the bars between are
chosen.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from abc_tools import Bar, Tune, canonical_text, parse_tune
from abc_tools.tune import Note, Rest
from musicgen.corpus import plain_text
from musicgen.header import RequestError, TuneRequest
from musicgen.opening import request_from_abc
from musicgen.redraw import Slot, redraw
from musicgen.sample import Sample, SampleError, SampleOptions, TuneSampler, faults_of
from musicgen.tokenizer import decode_tune, encode_prompt, encode_tune
from musicgen.tune_grammar import read_word

SHARE = 0.25  # of the bars that a tweak draws anew
RUN_BARS = 2  # bars drawn anew side by side where nobody says which
ATTEMPTS = 8
_SPLIT = re.compile(r"^K:.*\n", re.MULTILINE)


@dataclass(frozen=True)
class _Run:
    """The tokens of one bar, its bar line left out: `ids[start:end]`."""

    start: int
    end: int


def read_bars(text: str) -> set[int]:
    """Bar numbers as people write them. Raises RequestError, one line.

    >>> sorted(read_bars("5-7,10"))
    [5, 6, 7, 10]
    """
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        if not match:
            raise RequestError(f"{text!r} are no bars: write them as 5-8 or 3,4,7")
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last or last - first > 1000:
            raise RequestError(f"{part.strip()!r} are no bars: the first bar is 1")
        found.update(range(first, last + 1))
    return found


def tweak(
    sampler: TuneSampler,
    tune: Tune,
    options: SampleOptions,
    *,
    bars: Collection[int] = (),
    share: float = SHARE,
) -> Sample:
    """The tune with some bars drawn anew, the others and all bar lines kept; it passes the gate.

    `bars` are numbered from 1 as written, the pick-up bar being one; without them about `share` of
    the bars are taken in runs of two, the last bar never. Raises RequestError for bars that the
    tune does not have, SampleError where no sound tune came of it.
    """
    whole = canonical_text(tune)
    tune = parse_tune(whole)
    timed = [bar for bar in tune.bars if bar.elements]
    chosen = _chosen(timed, bars, share, options.seed)
    plain = plain_text(tune, tune.rhythm or None)
    ids = encode_tune(sampler.tokenizer, plain)
    runs = _runs(sampler, ids)
    lengths = [bar.ticks for bar in parse_tune(plain).bars if bar.elements]
    if not len(runs) == len(timed) == len(lengths):
        raise SampleError("this tune cannot be varied: its bars are not those of its plain text")
    for row in range(ATTEMPTS):
        new = _redrawn(sampler, ids, runs, lengths, chosen, options, row)
        text = _spliced(whole, timed, [decode_tune(sampler.tokenizer, bar) for bar in new], chosen)
        request = TuneRequest(tune.rhythm or None, tune.meter.text, tune.key.text)
        tokens = sum(len(new[number]) for number in chosen)
        sample = Sample(text, True, options.seed, row, request, options, tokens, 0.0)
        if text != whole and not faults_of(sample):
            return sample
    raise SampleError("no sound tune came of these bars: choose others, or another seed")


def fill_middle(
    sampler: TuneSampler,
    opening: str,
    ending: str,
    bars: int,
    options: SampleOptions,
    request: TuneRequest | None = None,
    row: int = 0,
) -> Sample:
    """A tune that begins with `opening` and ends with `ending`, `bars` full bars between them.

    Both are ABC; the opening's header, or `request`, says meter and key, and the ending needs none.
    A bar that the opening leaves unfinished is finished besides. Raises RequestError, SampleError.
    """
    if bars < 1:
        raise RequestError(f"{bars} bars between the passages: ask for one or more")
    request = request_from_abc(opening, request)
    if not request.opening:
        raise RequestError("the opening holds no notes")
    stream = np.random.Generator(np.random.Philox([options.seed, row]))
    header = sampler.headers.write(replace(request, opening=""), sampler.decoder, stream).text
    body = _ending_body(header, ending)
    before = encode_prompt(sampler.tokenizer, header + request.opening)
    before, slots, after = _gap(sampler, before, body, bars)
    for attempt in range(row * ATTEMPTS, (row + 1) * ATTEMPTS):
        drawn = redraw(sampler, before, slots, after, options, attempt)
        middle = [t for bar, slot in zip(drawn, slots, strict=True) for t in (*bar, *slot.line)]
        text = decode_tune(sampler.tokenizer, [*before, *middle, *after])
        tokens = len(middle)
        sample = Sample(text, True, options.seed, row, request, options, tokens, 0.0)
        faults = faults_of(sample)
        if not faults:
            return replace(sample, abc=canonical_text(parse_tune(text)))
    raise SampleError(
        f"no sound tune came of these passages ({', '.join(faults)}): look at bars and repeats"
    )


def _chosen(bars: Sequence[Bar], asked: Collection[int], share: float, seed: int) -> list[int]:
    """Indices of the bars to be drawn anew, in order."""
    if asked:
        if max(asked) > len(bars):
            raise RequestError(f"the tune has {len(bars)} bars, so there is no bar {max(asked)}")
        return sorted(number - 1 for number in asked)
    if not 0 < share <= 1:
        raise RequestError(f"the share {share} is not above 0 and at most 1")
    wanted = max(1, round(share * len(bars)))
    stream = np.random.Generator(np.random.Philox([seed, len(bars)]))
    starts = stream.permutation(range(0, max(1, len(bars) - 1), RUN_BARS))
    found: list[int] = []
    for start in starts:
        found += [n for n in range(start, start + RUN_BARS) if n < max(1, len(bars) - 1)]
        if len(found) >= wanted:
            break
    return sorted(found[:wanted])


def _runs(sampler: TuneSampler, ids: Sequence[int]) -> list[_Run]:
    """The bars among the tokens of a plain tune: what stands between lines and fields."""
    words = [read_word(text) for text in sampler.tokenizer.convert_ids_to_tokens(list(ids))]
    body = next((place for place, word in enumerate(words) if word.field == "K"), 0) + 1
    runs: list[_Run] = []
    start = body
    for place in range(body, len(ids)):
        if words[place].kind in ("line", "field") or place == len(ids) - 1:
            if any(word.kind in ("note", "rest") for word in words[start:place]):
                runs.append(_Run(start, place))
            start = place + 1
    return runs


def _redrawn(
    sampler: TuneSampler,
    ids: list[int],
    runs: Sequence[_Run],
    lengths: Sequence[int],
    chosen: Sequence[int],
    options: SampleOptions,
    row: int,
) -> list[list[int]]:
    """The tokens of each bar, those that were chosen drawn anew one gap after another."""
    bars = [list(ids[run.start : run.end]) for run in runs]
    between = [list(ids[: runs[0].start])]
    between += [list(ids[a.end : b.start]) for a, b in pairwise(runs)]
    between += [list(ids[runs[-1].end :])]

    def text(first: int, last: int) -> list[int]:
        """Tokens from bar `first` to before bar `last`, and what stands between them."""
        return [token for n in range(first, last) for token in (*bars[n], *between[n + 1])]

    for gap in _gaps(chosen):
        first, last = gap[0], gap[-1] + 1
        slots = [Slot(lengths[n], tuple(between[n + 1])) for n in gap[:-1]]
        slots.append(Slot(lengths[last - 1], ()))
        before = between[0] + text(0, first)
        after = between[last] + text(last, len(bars))
        old = [bars[n] for n in gap]
        new = redraw(sampler, before, slots, after, options, row, avoid=old)
        for n, bar in zip(gap, new, strict=True):
            bars[n] = bar
    return bars


def _gaps(chosen: Sequence[int]) -> list[list[int]]:
    """Runs of consecutive numbers."""
    gaps: list[list[int]] = []
    for number in chosen:
        if gaps and gaps[-1][-1] == number - 1:
            gaps[-1].append(number)
        else:
            gaps.append([number])
    return gaps


def _spliced(whole: str, bars: Sequence[Bar], texts: Sequence[str], chosen: Sequence[int]) -> str:
    """`whole` with the bars that were chosen written as in `texts`, the rest byte for byte."""
    for n in reversed(chosen):
        first, last = bars[n].elements[0], bars[n].elements[-1]
        marks = getattr(first, "marks", ())
        start = min([first.start, *(mark.start for mark in marks)])
        end = max(last.end, bars[n].end)
        kept = re.search(r"\s*$", whole[start:end])
        end -= len(kept[0]) if kept else 0
        whole = whole[:start] + texts[n].strip() + whole[end:]
    return whole


def _ending_body(header: str, ending: str) -> str:
    """The music of the ending in canonical plain form, read under the header of the opening."""
    music = _SPLIT.split(ending, maxsplit=1)[-1]
    tune = parse_tune(header + music)
    if not any(isinstance(e, Note | Rest) for bar in tune.bars for e in bar.elements):
        raise RequestError("the ending holds no notes")
    text = canonical_text(tune, plain=True, title=False)
    body = _SPLIT.split(text, maxsplit=1)[-1]
    if not tune.bars[0].opens:  # canonical text opens a repeat that the opening may have opened
        body = body.removeprefix("|:")
    return body if body.endswith("\n") else body + "\n"


def _gap(
    sampler: TuneSampler, before: list[int], body: str, bars: int
) -> tuple[list[int], list[Slot], list[int]]:
    """(passage before the gap, the bars to be drawn, passage behind it)."""
    mask, tokenizer = sampler.mask, sampler.tokenizer
    state = mask.begin(before)
    if not state.bar:
        raise RequestError("in free meter bars cannot be counted: give the opening a meter")

    def line(text: str) -> tuple[int, ...]:
        return tuple(tokenizer.encode(text, add_special_tokens=False))

    slots = []
    if state.ticks == state.bar:
        before = [*before, *line("|")]
        state = mask.begin(before)
    elif state.ticks:
        slots.append(Slot(state.bar - state.ticks, line("|")))
    closes = re.search(r":\|", body)
    opens = re.search(r"\|:", body)
    unopened = closes is not None and (opens is None or closes.start() < opens.start())
    if unopened and not state.repeated and not state.ticks:
        before = [*before, *line("|:")]
    full = len(_runs(sampler, [*before, tokenizer.eos_token_id]))
    for number in range(full + 1, full + bars + 1):
        slots.append(Slot(state.bar, line("|\n" if number % 4 == 0 else "|")))
    after = [*line(body), tokenizer.eos_token_id]
    return before, slots, after

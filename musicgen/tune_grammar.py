"""Which lexeme may come next in a tune that must turn out sound, and how far its end is.

A tune is read lexeme by lexeme into a small state. From each state the grammar knows what keeps the
tune sound as `abc_tools.passes_gate` understands it, loops left aside:

- a bar is full, or short where a part begins or ends and a neighbour makes it whole: the pick-up
  `|:A|` wants a last bar that leaves room for it, or one before it that did;
- repeats balance: `|: :|`, `|: |1 :|2 ||`; other parts end with `||`, the tune with `:|` or `|]`;
- the end comes behind eight bars or more;
- where a plan of the parts is to be kept (part_plan.py), a part ends when it has its bars, and the
  tune with the last part.

The grammar is the canonical text's: a repeat is always opened, a new part begins behind `:|` or
`||`. Lengths are whole ticks, so sums are exactly those of abc_tools.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias

from abc_tools.fields import FieldError, parse_meter, parse_unit
from abc_tools.gate import FEWEST_BARS
from abc_tools.scanner import bar_parts, length_parts
from abc_tools.tune import WHOLE, Meter

NEVER = 10_000  # a distance longer than any tune: the end cannot be reached
_FEW_BARS = 3  # of a part to come: enough to tell its end from its middle
_USUAL_TIME = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}  # p notes in the time of q (ABC 2.1, section 4.13)

_NOTE = re.compile(r" ?([_^=]{0,2}[A-Ga-g][,']*|[zx])([0-9]*(?:/[0-9]*)?)")
_TUPLET = re.compile(r" ?\(([2-9])(?::([0-9]?))?(?::([0-9]))?")
_LINE = re.compile(r"(?:\[\||:*\|+[:\]]?|::)(?:[0-9](?:[,-][0-9])*)?\n?")
_FIELD = re.compile(r"\[?([A-Za-z]):([^\]\n]*)(?:\]|\n)")

Kind: TypeAlias = Literal["note", "rest", "tuplet", "line", "tie", "field", "end", "other"]


class Word(NamedTuple):
    """What a lexeme says of time; those that say the same are equal."""

    kind: Kind
    length: tuple[int, int] = (0, 1)  # of a note or rest, in units of L:
    tuplet: tuple[int, int, int] = (0, 0, 0)  # p notes in the time of q, for r; q 0: as usual
    opens: bool = False  # a repeat
    closes: bool = False  # a repeat
    double: bool = False
    final: bool = False  # |]
    ending: int = 0  # that begins here
    field: str = ""  # "M" ...
    value: str = ""  # ... "6/8"


class TuneState(NamedTuple):
    """Where a tune stands. Lengths in ticks; a bar that lacks nothing lacks 0."""

    body: bool = False  # the header is over
    bar: int = 0  # length of a full bar, 0 in free meter
    unit: int = WHOLE // 8
    compound: bool = False
    ticks: int = 0  # of the bar so far
    tuplet: tuple[int, int, int] = (1, 1, 0)  # p in the time of q, notes to come
    last: Kind = "line"
    bars: int = 0  # that are done, counted up to FEWEST_BARS
    first: bool = True  # this bar is the first of a part or of an ending
    repeated: bool = False  # the part was opened by |:
    ending: int = 0  # that is being written
    upbeat: int = 0  # what the part's first bar lacks
    owed: bool = False  # the bar before the repeat must supply that
    lack: int = 0  # what the bar before this first bar lacks
    must: bool = False  # this first bar must supply that
    fork: int = 0  # what the bar before the first ending lacks
    tune_upbeat: int = 0  # length of the tune's first bar if it is short
    may_end: bool = False  # a repeat was closed just now
    must_end: bool = False  # behind |], or behind the last part of the plan
    plan: tuple[int, ...] | None = None  # bars to come of this part, and of each after it
    done: int = 0  # ticks of this part that are no whole bar yet, where there is a plan


@lru_cache(maxsize=8192)
def read_word(text: str) -> Word:
    r"""What a lexeme says.

    >>> read_word(" ^c3/2").length, read_word("(3").tuplet, read_word(":|2").ending
    ((3, 2), (3, 0, 3), 2)
    """
    if text == "-":
        return Word("tie")
    if match := _NOTE.fullmatch(text):
        above, below = length_parts(match[2])
        if above and below:
            return Word("rest" if match[1] in "zx" else "note", (above, below))
    elif match := _TUPLET.fullmatch(text):
        p = int(match[1])
        return Word("tuplet", tuplet=(p, int(match[2] or 0), int(match[3] or p)))
    elif _LINE.fullmatch(text):
        closes, opens, double, numbers, _ = bar_parts(text.rstrip("\n"))
        final = text.rstrip("\n").endswith("]")
        number = max(numbers or (0,))
        return Word("line", (0, 1), (0, 0, 0), bool(opens), bool(closes), double, final, number)
    elif match := _FIELD.fullmatch(text):
        return Word("field", field=match[1], value=match[2])
    return Word("other")


END = Word("end")
_LINES = (  # the shortest ways on at the end of a bar
    Word("line"),
    Word("line", closes=True),
    Word("line", double=True),
    Word("line", double=True, final=True),
)


class TuneGrammar:
    """The rules, for a vocabulary with the given words: what it has no words for it cannot fill."""

    def __init__(self, words: Iterable[str]) -> None:
        read = {read_word(text) for text in words}
        self._lengths = sorted({word.length for word in read if word.kind == "note"})
        self._tuplets = sorted({word.tuplet for word in read if word.kind == "tuplet"})
        endings = [word for word in read if word.kind == "line" and word.ending > 1]
        self._lines = (*_LINES, *endings)
        self._fills: dict[tuple[int, int, bool, tuple[int, int, int]], int] = {}
        self._from_bar_line: dict[TuneState, int] = {}
        self._ends_of_bar: dict[TuneState, list[tuple[int, int]]] = {}

    # --- reading ---

    def read(self, state: TuneState, word: Word) -> TuneState:
        """The state after a word that is there, whatever it is."""
        return self.after(state, word) or _forced(state, word)

    def after(self, state: TuneState, word: Word) -> TuneState | None:
        """The state after `word`, None if the word may not stand there."""
        if not state.body:
            return _after_header(state, word) if word.kind == "field" else None
        if state.must_end:
            return None
        if word.kind in ("note", "rest"):
            return _after_note(state, word)
        if word.kind == "line":
            return _after_line(state, word)
        if word.kind == "tuplet":
            return _after_tuplet(state, word)
        if word.kind == "tie":
            return state._replace(last="tie") if state.last == "note" else None
        if word.field == "K" and state.bars and _begins_part(state) and state.last == "line":
            return state._replace(last="field", may_end=False)
        return None

    def ends(self, state: TuneState) -> bool:
        """Whether the tune may end here."""
        if state.must_end or state.plan is not None:
            return state.must_end
        whole = not state.must or state.lack == state.tune_upbeat
        return state.may_end and state.bars >= FEWEST_BARS and whole

    # --- distances ---

    def fills(self, state: TuneState) -> bool:
        """Whether notes can make the bar exactly full."""
        return self._fill(state, state.bar - state.ticks) < NEVER

    def distance(self, state: TuneState) -> int:
        """Fewest words from here to a sound end, the end mark counted; NEVER if there is none."""
        state, more = self.shortened(state)
        if not state.ticks and not state.tuplet[2]:
            return min(NEVER, more + self._distance_from_bar_line(state._replace(last="line")))
        if not state.bar:
            bars = (cost + self._distance_from_bar_line(s) for cost, s in self._bars(state))
            return min(NEVER, more + min(bars, default=NEVER))
        ways = (
            self._fill(state, length - state.ticks) + behind
            for length, behind in self._bar_ends(state)
            if length >= state.ticks
        )
        return min(NEVER, more + min(ways, default=NEVER))

    def _bar_ends(self, state: TuneState) -> list[tuple[int, int]]:
        """Lengths that the bar may have, and how many words a sound tune takes behind its notes."""
        bar = state._replace(ticks=0, tuplet=(1, 1, 0), last="note", may_end=False)
        if bar not in self._ends_of_bar:
            found = []
            for length in _lengths_wanted(bar):
                full = bar._replace(ticks=length)
                lines = (_after_line(full, line) for line in self._lines)
                ways = [1 + self._distance_from_bar_line(s) for s in lines if s is not None]
                if ways:
                    found.append((length, min(ways)))
            self._ends_of_bar[bar] = found
        return self._ends_of_bar[bar]

    def shortened(self, state: TuneState) -> tuple[TuneState, int]:
        """The state with fewer whole bars to come, and how many words those left out take at least.

        In the middle of a part nothing stands but whole bars, so a part that has many of them to
        come is like one that has a few: its words are as far from the end but for a constant.
        """
        plan = state.plan
        if plan is None or max(plan, default=0) <= _FEW_BARS:
            return state, 0
        left_out = sum(bars - _FEW_BARS for bars in plan if bars > _FEW_BARS)
        bar = 1 + self._fewest(state.bar, state.unit, state.compound, (1, 1, 0))
        return state._replace(plan=tuple(min(bars, _FEW_BARS) for bars in plan)), left_out * bar

    def _distance_from_bar_line(self, start: TuneState) -> int:
        """From a state between bars: all that can be reached from it is worked out with it."""
        known = self._from_bar_line
        start, more = self.shortened(start)
        if start not in known:
            self._explore(start)
        return min(NEVER, more + known[start])

    def _explore(self, start: TuneState) -> None:
        """Dijkstra's shortest paths, from all ends back to every state that `start` leads to."""
        known = self._from_bar_line
        before: dict[TuneState, list[tuple[int, TuneState]]] = {start: []}
        queue: list[tuple[int, int, TuneState]] = []
        waiting = [start]
        while waiting:
            state = waiting.pop()
            if state in known or self.ends(state):
                far = known.get(state, 1)
                queue.append((far, len(queue), state))
                continue
            for cost, following in self._bars(state):
                following, more = self.shortened(following)
                if following not in before:
                    before[following] = []
                    waiting.append(following)
                before[following].append((cost + more, state))
        heapq.heapify(queue)
        count = len(queue)
        found: dict[TuneState, int] = {}
        while queue:
            far, _, state = heapq.heappop(queue)
            if state in found:
                continue
            found[state] = far
            for cost, earlier in before[state]:
                count += 1
                heapq.heappush(queue, (far + cost, count, earlier))
        for state in before:
            known[state] = found.get(state, NEVER)

    def _bars(self, state: TuneState) -> Iterator[tuple[int, TuneState]]:
        """Ways to fill the bar and end it: (words it takes, state behind the bar line)."""
        opened = [(0, state)]
        if _begins_part(state) and not state.repeated and not state.ticks and not state.tuplet[2]:
            opened.append((1, state._replace(repeated=True)))
        for opening, begun in opened:
            for length in _lengths_wanted(begun):
                filled = self._fill(begun, length - begun.ticks)
                if filled >= NEVER:
                    continue
                full = begun._replace(ticks=length, tuplet=(1, 1, 0), last="note", may_end=False)
                for line in self._lines:
                    following = _after_line(full, line)
                    if following is not None:
                        yield opening + filled + 1, following

    def _fill(self, state: TuneState, rest: int) -> int:
        """Fewest notes and tuplet signs that last `rest` ticks."""
        if not state.bar:
            return max(int(not state.ticks), state.tuplet[2])
        if rest < 0:
            return NEVER
        return self._fewest(rest, state.unit, state.compound, state.tuplet)

    def _fewest(self, rest: int, unit: int, compound: bool, tuplet: tuple[int, int, int]) -> int:
        p, q, left = tuplet
        if not left and not rest:
            return 0
        key = rest, unit, compound, tuplet
        if key not in self._fills:
            following = (p, q, left - 1) if left > 1 else (1, 1, 0)
            best = NEVER
            for above, below in self._lengths:
                ticks = unit * above // below * q // p
                if ticks <= rest:
                    best = min(best, 1 + self._fewest(rest - ticks, unit, compound, following))
            if best >= NEVER and not left:  # what is left of thirds only another tuplet fills
                for sign in self._tuplets:
                    begun = _begun_tuplet(sign, compound)
                    best = min(best, 1 + self._fewest(rest, unit, compound, begun))
            self._fills[key] = min(best, NEVER)
        return self._fills[key]


def _begins_part(state: TuneState) -> bool:
    return state.first and not state.ending and not state.ticks and not state.tuplet[2]


def _lengths_wanted(state: TuneState) -> set[int]:
    """Lengths at which a bar in this place may end: a full one, or what a neighbour leaves."""
    if not state.bar:
        return {max(1, state.ticks)}
    wanted = {state.bar, state.upbeat, state.lack if state.first else 0}
    if state.tune_upbeat:
        wanted.add(state.bar - state.tune_upbeat)
    return {length for length in wanted if length and length >= state.ticks}


def _after_header(state: TuneState, word: Word) -> TuneState:
    try:
        if word.field == "M":
            return _in_meter(state, parse_meter(word.value))
        if word.field == "L":
            return state._replace(unit=parse_unit(word.value))
    except FieldError:
        return state
    if word.field != "K":
        return state
    return state._replace(body=True, plan=state.plan if state.bar else None)


def _in_meter(state: TuneState, meter: Meter) -> TuneState:
    return state._replace(bar=meter.ticks, compound=meter.compound)


def _after_note(state: TuneState, word: Word) -> TuneState | None:
    p, q, left = state.tuplet
    ticks = state.ticks + state.unit * word.length[0] // word.length[1] * q // p
    if state.bar and ticks > state.bar:
        return None
    following = (p, q, left - 1) if left > 1 else (1, 1, 0)
    return state._replace(ticks=ticks, tuplet=following, last=word.kind, may_end=False)


def _begun_tuplet(sign: tuple[int, int, int], compound: bool) -> tuple[int, int, int]:
    p, q, r = sign
    return p, q or _USUAL_TIME.get(p) or (3 if compound else 2), r


def _after_tuplet(state: TuneState, word: Word) -> TuneState | None:
    if state.tuplet[2] or (state.bar and state.ticks >= state.bar):
        return None
    tuplet = _begun_tuplet(word.tuplet, state.compound)
    return state._replace(tuplet=tuplet, last="tuplet", may_end=False)


def _after_line(state: TuneState, line: Word) -> TuneState | None:
    if not state.ticks:
        opening = line.opens and not (line.closes or line.double or line.ending)
        if opening and _begins_part(state) and not state.repeated and state.last == "line":
            return state._replace(repeated=True, may_end=False)
        return None
    missing = state.bar - state.ticks if state.bar else 0
    unpaid = state.first and state.must and missing + state.lack != state.bar
    if state.tuplet[2] or line.opens or unpaid:
        return None
    # whole by itself or with the bar before it; the tune's first bar may be of any length
    whole = not missing or (state.first and state.ticks == state.lack) or not state.bars
    state = _counted(state)
    if state.plan and _overfull(state):
        return None
    behind = state._replace(
        ticks=0,
        last="line",
        bars=min(FEWEST_BARS if state.plan is None else 1, state.bars + 1),
        first=True,
        lack=missing,
        tune_upbeat=state.tune_upbeat if state.bars or not missing else state.ticks,
    )
    if line.closes:
        return _after_repeat(state, line, behind, missing, whole)
    if line.double:
        return _after_double_bar(state, line, behind, whole)
    if line.ending:
        if not state.repeated or state.ending or state.first or line.ending != 1:
            return None
        return behind._replace(ending=1, must=missing > 0, fork=missing)
    pick_up = state.first and state.repeated and not state.ending
    if not (whole or pick_up):
        return None
    behind = behind._replace(first=False, lack=0, must=False)
    if state.first and not state.ending:
        behind = behind._replace(upbeat=missing, owed=not whole)
    return behind


def _after_repeat(
    state: TuneState, line: Word, behind: TuneState, missing: int, whole: bool
) -> TuneState | None:
    """Behind :| or :|2; the next bar played is the part's first."""
    supplies = state.upbeat > 0 and state.ticks == state.upbeat
    if not state.repeated or (state.owed and not supplies):
        return None
    if line.ending:
        if not state.ending or line.ending != state.ending + 1 or not (whole or supplies):
            return None
        return behind._replace(ending=line.ending, lack=state.fork, must=False, owed=False)
    if state.ending:
        return None
    return _new_part(behind, must=not (whole or supplies), may_end=True)


def _after_double_bar(
    state: TuneState, line: Word, behind: TuneState, whole: bool
) -> TuneState | None:
    """Behind || or |], which end what is not repeated, and the last ending."""
    if state.repeated and state.ending < 2:
        return None
    if not line.final:
        return _new_part(behind, must=not whole)
    if behind.plan is None and behind.bars < FEWEST_BARS:
        return None
    closes_tune = state.ticks + behind.tune_upbeat == state.bar
    if not (whole or closes_tune) or len(behind.plan or (0,)) > 1:
        return None
    after = _new_part(behind, must=False, may_end=True)
    return after._replace(must_end=True, may_end=False) if after else None


def _new_part(state: TuneState, *, must: bool, may_end: bool = False) -> TuneState | None:
    """Behind the end of a part; None where the plan wants it elsewhere. The last one ends the tune,
    if its bar line may and if no bar is left to be made whole."""
    after = state._replace(
        repeated=False, ending=0, upbeat=0, owed=False, fork=0, must=must, may_end=may_end
    )
    if state.plan is None:
        return after
    full = state.plan and _part_is_full(state)
    last = len(state.plan) == 1
    if not full or (last and not (may_end and (not must or state.lack == state.tune_upbeat))):
        return None
    return after._replace(plan=state.plan[1:], done=0, must_end=last, may_end=False)


def _counted(state: TuneState) -> TuneState:
    """The state with the bar that ends here counted in the plan; of several endings the first."""
    if not state.plan or not state.bar or state.ending > 1:
        return state
    bars, done = divmod(state.done + state.ticks, state.bar)
    return state._replace(plan=(state.plan[0] - bars, *state.plan[1:]), done=done)


def _part_is_full(state: TuneState) -> bool:
    """Whether the bars so far, rounded to the nearest number, are those of the plan (part_plan)."""
    assert state.plan
    left, bar = state.plan[0], state.bar
    return (2 * left - 1) * bar < 2 * state.done <= (2 * left + 1) * bar


def _overfull(state: TuneState) -> bool:
    assert state.plan
    return 2 * state.done > (2 * state.plan[0] + 1) * state.bar


def _forced(state: TuneState, word: Word) -> TuneState:
    """The state after a word that breaks the rules, which somebody's own opening may do."""
    if not state.body:
        return state
    if word.kind in ("note", "rest"):
        return _after_note(state._replace(bar=0), word)._replace(bar=state.bar)  # type: ignore[union-attr]
    if word.kind == "field" and word.field == "M":
        try:
            return _in_meter(state, parse_meter(word.value))
        except FieldError:
            return state
    if word.kind != "line":
        return state
    pick_up = not state.bars and not word.closes and 2 * state.ticks <= state.bar
    state = _counted(state)
    behind = state._replace(
        ticks=0,
        tuplet=(1, 1, 0),
        last="line",
        bars=min(FEWEST_BARS, state.bars + (state.ticks > 0)),
        first=False,
        must=False,
        lack=0,
        owed=False,
    )
    if line_begins_part := word.opens or word.closes or word.double:
        fresh = _new_part(behind._replace(plan=None), must=False)
        assert fresh is not None
        ended = state.plan is not None and not pick_up
        behind = fresh._replace(
            first=True,
            repeated=word.opens,
            plan=(state.plan or ())[1:] if ended else state.plan,
            done=0 if ended else state.done,
        )
    if word.ending and not line_begins_part:
        behind = behind._replace(ending=word.ending, first=True)
    return behind

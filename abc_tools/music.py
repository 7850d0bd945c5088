"""One line of music -> bars of a voice. One method a token, the grammar rule in its docstring.

The scanner names each token after the method that reads it. A note that nothing stands at is read
in the loop itself: most tokens are such notes, and a call each would double their cost.
"""

from __future__ import annotations

import re

from abc_tools.note_meanings import LONGEST_NOTE, NoteMeaning, length_ticks, slot
from abc_tools.scanner import (
    BLANKS,
    INNER,
    TOKEN,
    bar_parts,
    ending_numbers,
    length_parts,
    natural_pitch,
    note_parts,
    note_token,
    token_kind,
)
from abc_tools.signs import SignReader
from abc_tools.tune import WHOLE, Chord, Mark, Note, Rest

MOST_BARS_REST = 999
_PLAIN_BARLINES = frozenset(("|", "| "))
_DOTTED = {">": ((3, 2), (1, 2)), "<": ((1, 2), (3, 2))}  # the broken rhythms seen most
MOST_IN_TUPLET = 22


class MusicReader(SignReader):
    """Reads music into `voice`. Whoever inherits from it reads fields and chooses the voice."""

    def music(self, start: int, end: int) -> None:
        """music = {token}, up to the end of a line."""
        source = self.source
        self.line_end = end = start + len(source[start:end].rstrip(" \t`"))
        blanks = BLANKS.match(source, start, end)
        begin = blanks.end() if blanks else start
        voice = self.voice
        elements, active, meanings = voice.elements, voice.active, voice.meanings
        plain = not (voice.marks or voice.broken or voice.tuplet or voice.tied)
        run = 0  # ticks of the notes since the last token of another kind
        make = tuple.__new__  # a NamedTuple's own constructor takes twice as long
        for text in TOKEN.findall(source, begin, end):
            meaning = meanings[text] if plain else None
            if meaning is None:
                if run:
                    voice.ticks += run
                    run = 0
                if begin >= self.skip_to:
                    if note := meanings.with_tail[text]:
                        self.sound_note(*note, begin)
                    elif text in _PLAIN_BARLINES and not voice.tuplet:
                        voice.close_bar(begin, 0, False, True)
                    else:
                        kind, own_text = token_kind(text)
                        getattr(self, kind)(own_text, begin)
                begin += len(text)
                voice = self.voice
                elements, active, meanings = voice.elements, voice.active, voice.meanings
                plain = not (
                    voice.marks or voice.broken or voice.tuplet or voice.tied
                    or begin < self.skip_to
                )  # fmt: skip
                continue

            # What `sound_note` does, for a note that nothing stands at.
            accidental, move, slot, step, pitch, ticks, width = meaning
            if move is None:
                pitch += active[slot]
            else:
                active[slot] = move
                pitch += move
            elements.append(
                make(
                    Note,
                    (pitch, step, accidental, ticks, ticks, False, (), 0, begin, begin + width),
                )
            )
            if not voice.sustained:
                voice.sustained = True
                voice.start = begin
            run += ticks
            begin += len(text)
        voice.ticks += run
        if voice.sustained and voice.ticks == voice.meter.ticks:
            # A whole bar before a line end: old collections leave the barline out there.
            voice.close_bar(end, 0, False, False)

    # --- notes, chords, rests ---

    def note(self, text: str, begin: int) -> None:
        """note = accidental letter octave length {tie | end of slur} [broken rhythm]"""
        note, tail, broken = note_token(text)
        meaning = self.voice.meanings[note] or self.faulty_note(note, begin)
        self.sound_note(meaning, tail, broken, begin)

    def sound_note(self, meaning: NoteMeaning, tail: str, broken: str, begin: int) -> None:
        """A note of a known meaning, with the ties and ends of slurs in its tail."""
        voice = self.voice
        accidental, _, _, step, _, written, width = meaning
        end = begin + width
        pitch = voice.pitch(meaning)
        if broken or voice.broken:
            written = self.broken_length(written, broken, end + len(tail))
        ticks = voice.tuplet_length(written) if voice.tuplet else written
        marks = voice.take_marks() if voice.marks else ()
        tied, closes = False, 0
        if tail:
            tied, closes = "-" in tail, tail.count(")")
            if closes:
                self.close_slurs(closes, end)
        voice.tied = {step: pitch} if tied else None
        voice.add(
            tuple.__new__(
                Note, (pitch, step, accidental, ticks, written, tied, marks, closes, begin, end)
            )
        )

    def faulty_note(self, text: str, begin: int) -> NoteMeaning:
        """What a note is taken for that is too high, too low, or of no possible length."""
        accidental, move, step, above, below = note_parts(text)
        end = begin + len(text)
        ticks, _ = self.length_ticks(above, below, begin, end)
        natural = natural_pitch(step)
        if not 0 <= natural <= 127:
            message = "this note is beyond the reach of any instrument"
            self.report("error", "out-of-range", message, begin, end)
            octaves = natural // 12 if natural < 0 else natural // 12 - 9
            step -= 7 * octaves
            natural -= 12 * octaves
        place = slot(step, self.voice.spread, move is not None)
        return accidental, move, place, step, natural, ticks, len(text)

    def length_ticks(self, above: int, below: int, start: int, end: int) -> tuple[int, bool]:
        """(ticks of a length, whether nothing is wrong with it)."""
        ticks, fault = length_ticks(self.voice.unit, above, below)
        if fault:
            self.report("error", "note-length", fault, start, end)
        return ticks, not fault

    def inner_note(self, match: re.Match[str], begin: int) -> Note:
        """A note inside the brackets of a chord or the braces of graces."""
        voice = self.voice
        text = match["note"]
        start = begin + match.start("note")
        meaning = voice.meanings[text] or self.faulty_note(text, start)
        accidental, _, _, step, _, ticks, _ = meaning
        pitch = voice.pitch(meaning)
        tied = "-" in match["tail"]
        return Note(
            pitch, step, accidental, ticks, ticks, tied, (), 0, start, start + len(text)
        )  # fmt: skip

    def chord(self, text: str, begin: int) -> None:
        """chord = "[" {decoration | note} "]" length [tie]; it lasts as long as its first note."""
        close = text.rindex("]")
        end = begin + close + 1
        notes = self.inner_notes(text, close, begin)
        if not notes:
            message = "these brackets hold no notes"
            self.report("warning", "empty-chord", message, begin, begin + len(text))
            return
        voice = self.voice
        length = text[close + 1 :].rstrip("-)")
        tail = text[close + 1 + len(length) :]
        above, below = length_parts(length)
        if length:
            _, fine = self.length_ticks(above, below, end, end + len(length))
            if not fine:
                above = below = 1
        if voice.broken:
            above, below = above * voice.broken[0], below * voice.broken[1]
            voice.broken = None
        p, q = voice.next_of_tuplet()
        tie_all = "-" in tail
        scaled = []
        for note in notes:
            written = max(1, min(LONGEST_NOTE, note.written * above // below))
            tied = note.tied or tie_all
            scaled.append(note._replace(ticks=written * q // p, written=written, tied=tied))
        closes = tail.count(")")
        if closes:
            self.close_slurs(closes, end)
        voice.tied = {note.step: note.pitch for note in scaled if note.tied} or None
        first = scaled[0]
        marks = voice.take_marks()
        voice.add(
            Chord(
                tuple(scaled), first.ticks, first.written, marks, closes, begin, end + len(length)
            )
        )

    def inner_notes(self, text: str, close: int, begin: int) -> list[Note]:
        """The notes between the brackets or braces of a token."""
        notes = []
        for match in INNER.finditer(text, 1, close):
            if match["note"]:
                notes.append(self.inner_note(match, begin))
            elif match["stray"]:
                self.stray(match[0], begin + match.start())
        return notes

    def rest(self, text: str, begin: int) -> None:
        """rest = ("z" | "x") length."""
        voice = self.voice
        end = begin + len(text)
        above, below = length_parts(text[1:])
        written, _ = self.length_ticks(above, below, begin, end)
        written = self.broken_length(written)
        p, q = voice.next_of_tuplet()
        visible = text[0] == "z"
        voice.add(Rest(written * q // p, written, visible, 0, voice.take_marks(), 0, begin, end))
        voice.tied = None

    def bars_rest(self, text: str, begin: int) -> None:
        """bars of rest = ("Z" | "X") [number]."""
        self.end_tuplet()
        voice = self.voice
        end = begin + len(text)
        bars = int(text[1:5] or 1)
        if not 0 < bars <= MOST_BARS_REST:
            message = f"a rest of {bars} bars: expected 1 to {MOST_BARS_REST}"
            self.report("error", "note-length", message, begin, end)
            bars = 1
        ticks = bars * (voice.meter.ticks or WHOLE)
        voice.add(Rest(ticks, ticks, text[0] == "Z", bars, voice.take_marks(), 0, begin, end))
        voice.tied = None

    # --- rhythm ---

    def broken_length(self, written: int, sign: str | None = None, begin: int = 0) -> int:
        """Broken rhythm: A>B lengthens A and shortens B by half, A>>B by three quarters, ..."""
        voice = self.voice
        if voice.broken:
            above, below = voice.broken
            written = written * above // below
            voice.broken = None
        if sign:
            (above, below), voice.broken = self.broken_factors(sign, begin)
            written = min(LONGEST_NOTE, written * above // below)
        return written

    def broken(self, text: str, begin: int) -> None:
        """A broken rhythm sign that does not touch the note before it."""
        voice = self.voice
        index = voice.last_timed()
        last = voice.elements[index] if index >= 0 else None
        if last is None or voice.broken or (isinstance(last, Rest) and last.bars):
            message = f'"{text}" should stand between two notes'
            self.report("warning", "bad-broken-rhythm", message, begin, begin + len(text))
            return
        (above, below), voice.broken = self.broken_factors(text, begin)
        voice.scale_last(index, above, below)

    def broken_factors(self, sign: str, begin: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """(factor of the note before the sign, factor of the note after it)."""
        if sign in _DOTTED:
            return _DOTTED[sign]
        end = begin + len(sign)
        sign = sign.strip()
        if len(sign) > 3 or len({*sign}) > 1:
            message = f'"{sign}" is no broken rhythm: expected one to three ">" or "<"'
            self.report("warning", "bad-broken-rhythm", message, end - len(sign), end)
        below = 1 << min(len(sign), 3)
        long, short = (2 * below - 1, below), (1, below)
        return (long, short) if sign[0] == ">" else (short, long)

    def tuplet(self, text: str, begin: int) -> None:
        """tuplet = "(" p [":" [q] [":" [r]]]: p notes in the time of q, for the next r notes."""
        voice = self.voice
        end = begin + len(text)
        given = [int(part[:4]) if part else None for part in text[1:].split(":")]
        p = given[0] or 0
        q, r = (*given[1:], None, None)[:2]
        q = voice.usual_q(p) if q is None else q
        r = p if r is None else r
        possible = 2 <= p <= MOST_IN_TUPLET and 1 <= q <= MOST_IN_TUPLET and 1 <= r <= 64
        if not possible or WHOLE % p or (p > 9 and len(given) == 1):
            message = f"the tuplet {text} makes no sense: expected one such as (3 or (5:4:5"
            self.report("error", "bad-tuplet", message, begin, end)
            return
        if voice.tuplet:
            message = f"the tuplet {text} stands inside another one and is ignored"
            self.report("warning", "bad-tuplet", message, begin, end)
            return
        voice.tuplet = (p, q, r)
        voice.tuplet_mark = Mark("tuplet", voice.tuplet_name(p, q, r), begin, end, (p, q, r))
        voice.marks.append(voice.tuplet_mark)

    def end_tuplet(self) -> None:
        """A tuplet does not reach over a repeat sign, a double bar, an ending or the end."""
        left = self.voice.cut_tuplet()
        mark = self.voice.tuplet_mark
        if left and mark is not self.crossing:
            message = f"the tuplet {mark.text} lacks {left} note{'s' if left > 1 else ''}"
            self.report("warning", "unclosed-tuplet", message, mark.start, mark.end)

    def tie(self, text: str, begin: int) -> None:
        """A tie sign that does not touch its note."""
        index = self.voice.last_timed()
        if index >= 0:
            self.voice.tie_last(index)
        else:
            message = "a tie without a note before it"
            self.report("warning", "stray-tie", message, begin, begin + 1)

    # --- barlines ---

    def bar(self, text: str, begin: int) -> None:
        """barline = any run of "|" ":" "[" "]", with the numbers of an ending after it."""
        closes, opens, double, ending, is_bar = bar_parts(text)
        if not is_bar:
            self.stray(text, begin)
            return
        voice = self.voice
        if voice.tuplet:
            if closes or opens or double or ending is not None:
                self.end_tuplet()
            elif voice.tuplet_mark is not self.crossing:
                self.crossing = mark = voice.tuplet_mark
                message = f"the tuplet {mark.text} goes on over the barline"
                self.report("warning", "unclosed-tuplet", message, mark.start, mark.end)
        voice.close_bar(begin, closes, double, True)
        if opens > voice.opens:
            voice.opens = opens
        if double:
            voice.double_before = True
        if ending is not None:
            self.start_ending(ending, begin, begin + len(text))

    def ending(self, text: str, begin: int) -> None:
        """ending = "[" numbers, with or without a barline before it."""
        self.end_tuplet()
        self.voice.close_bar(begin, 0, False, False)
        self.start_ending(ending_numbers(text[1:]), begin, begin + len(text))

    def named_ending(self, text: str, begin: int) -> None:
        """named ending = "[" quoted text, beyond the standard; without a number only a text."""
        numbers = ending_numbers(text[2:-1].rstrip("."))
        if numbers:
            self.ending("[" + ",".join(map(str, numbers)), begin)
        else:
            self.text(text[1:], begin + 1)

    def start_ending(self, numbers: tuple[int, ...], begin: int, end: int) -> None:
        if not numbers:
            message = "an ending without a number above 0"
            self.report("warning", "bad-ending", message, begin, end)
        self.voice.ending = numbers

    def overlay(self, text: str, begin: int) -> None:
        """overlay = "&": a second layer over the same bar."""
        if not self.voice.ticks:
            message = "an overlay without anything before it in the bar"
            self.report("warning", "stray-overlay", message, begin, begin + len(text))
            return
        self.end_tuplet()
        self.voice.overlay(begin, begin + len(text))

    def grace(self, text: str, begin: int) -> None:
        """graces = "{" ["/"] {note | chord} "}"; their accidentals hold for the bar as others do.

        The notes of a chord count as graces one after another.
        """
        close = len(text) - 1
        notes = []
        for note in self.inner_notes(text, close, begin):
            # Grace notes have no length of their own: an unmarked one counts as an eighth.
            _, _, _, above, below = note_parts(self.source[note.start : note.end])
            ticks = max(1, min(LONGEST_NOTE, WHOLE // 8 * above // (below or 1)))
            notes.append(note._replace(ticks=ticks, written=ticks, tied=False))
        if notes:
            name = "{/" if text[1:2] == "/" else "{"
            self.voice.marks.append(Mark("grace", name, begin, begin + len(text), tuple(notes)))
        else:
            message = "these braces hold no notes"
            self.report("warning", "empty-grace", message, begin, begin + len(text))

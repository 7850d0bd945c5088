"""ABC text -> `Tune`: lines and fields. The music between them is read by `MusicReader`.

The reader never gives up: it notes what it could not read as a `Diagnostic` and goes on. Only a
text with nothing of a tune in it raises `AbcError`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from abc_tools.book import TuneText, split_tunes, unify_line_ends
from abc_tools.errors import AbcError
from abc_tools.fields import (
    C_MAJOR,
    FREE_METER,
    FieldError,
    default_unit,
    parse_key,
    parse_meter,
    parse_rhythm,
    parse_tempo,
    parse_unit,
    voice_shift,
)
from abc_tools.music import MusicReader
from abc_tools.signs import CONTROL
from abc_tools.tune import Span, Tempo, Tune
from abc_tools.voice import VoiceState

LONGEST_TUNE = 100_000  # characters; printed tunes have up to 3,000
MOST_VOICES = 16

T = TypeVar("T")

_FIELD = re.compile(r"[ \t]*([A-Za-z+])[ \t]*:")
_MUSIC_NOT_FIELD = re.compile(r"[ \t]*[A-Ga-gz]:(?=[|:])")
_COMMENT = re.compile(r"(?<!\\)%")
_BLOCK = re.compile(r"%%\s*begin(\w+)")
_SPREAD = re.compile(r"propagate-accidentals[ \t]+(not|octave|pitch)\b")
_HEADER_SEEN = re.compile(r"^[XTMLKRQ]:", re.MULTILINE)
_KEY_AHEAD = re.compile(r"^[ \t]*(?:K:|\n)", re.MULTILINE)
_ONLY_MUSIC = re.compile(r"(?=.*\|)(?=.*[A-Ga-g])[A-Ga-gzx0-9/|:<>,'^_=()\[\]~.{}&\s-]+")
_PROSE = re.compile(r"[A-Za-z']+[,.!?;]?(?:[ \t]+[A-Za-z']+[,.!?;]?)+")
_NO_NOTES_WORD = re.compile(r"\b[A-Za-z]*[h-tw][a-z]*[h-tw][a-z]*\b")
_KNOWN_FIELDS = frozenset("ABCDEFGHIKLMNOPQRSTUVWXZmrsw+")
_LOOKS_LIKE_MUSIC = re.compile(r"[A-Ga-gzx|:(\[\"{~.^_=][A-Ga-gzx0-9/|:<>,'^_=()\[\]~. -]*\|")


def parse_tune(text: str | TuneText) -> Tune:
    """The first tune of a text; its spans are offsets into the text itself.

    Raises AbcError if the text has no header field at all, which makes it no tune.
    """
    if isinstance(text, TuneText):
        return _Reader(text.text, 0, len(text.text), text.line, text.inherited).tune()
    source = unify_line_ends(text)
    if source.startswith("X:") and source.count("X:") == 1:  # nothing to split
        return _Reader(source, 0, len(source), 1, "").tune()
    tunes = split_tunes(source)
    if not tunes:
        tunes = [TuneText(source)]
    first = tunes[0]
    return _Reader(source, first.offset, first.offset + len(first.text), 1, first.inherited).tune()


class _Reader(MusicReader):
    """One reading of one tune."""

    def __init__(self, source: str, start: int, end: int, first_line: int, inherited: str):
        super().__init__(source, first_line)
        self.start = start
        self.end = end
        self.number: int | None = None
        self.titles: list[str] = []
        self.rhythm = ""
        self.meter = FREE_METER
        self.unit = 0
        self.key = C_MAJOR
        self.tempo: Tempo | None = None
        self.tempo_field: tuple[str, int, int] | None = None
        self.part_order = ""
        self.fields: list[tuple[str, str]] = []
        self.spread = "pitch"
        self.voices: dict[str, VoiceState] = {}
        self.declared: dict[str, str] = {}  # V: of the header: name -> the rest of the field
        self.in_body = False
        self.has_key = False
        self.key_search = (-1, False)  # up to where a K: was looked for, and whether one is there
        self.endless_blocks: set[str] = set()  # %%begin... without their %%end...
        for line in inherited.split("\n"):
            if line.startswith("%%"):
                self.directive(line[2:])
            elif line[1:2] == ":":
                self.header_field(line[0], _COMMENT.split(line[2:])[0].strip(), start, start)
        self.fields.clear()

    # --- lines ---

    def tune(self) -> Tune:
        """tune = header body; header = {field line} K: line; body = {music line | field line}."""
        source, position, end = self.source, self.start, self.end
        if end - position > LONGEST_TUNE:
            end = position + LONGEST_TUNE
            message = f"the tune has over {LONGEST_TUNE} characters; the rest is not read"
            self.report("error", "too-long", message, end, end + 1)
        while position < end:
            line_end = source.find("\n", position, end)
            if line_end < 0:
                line_end = end
            if source.startswith("%", position):
                if source.startswith("%%", position):
                    self.directive(source[position + 2 : line_end])
                    line_end = self.end_of_block(position, line_end, end)
            elif source[position:line_end].strip():
                self.line(position, line_end)
            elif self.in_body:
                self.after_tune(line_end, end)
                break
            elif self.number is not None and self.key_ahead(line_end + 1):
                message = "an empty line inside the header; it should end the tune"
                self.report("warning", "empty-line", message, position, position + 1)
            position = line_end + 1
        return self.finish()

    def directive(self, text: str) -> None:
        """directive = "%%" text, or I: text; of all of them one is about notes."""
        spread = _SPREAD.search(text)
        if spread:
            self.spread = spread[1]
            for voice in self.voices.values():
                voice.set_spread(self.spread)

    def end_of_block(self, position: int, line_end: int, end: int) -> int:
        """%%beginX ... %%endX is skipped: the end of its last line, or of this line."""
        block = _BLOCK.match(self.source, position, line_end)
        if not block or block[1] in self.endless_blocks:
            return line_end
        last = re.compile(rf"^%%\s*end{block[1]}\b.*$", re.MULTILINE)
        match = last.search(self.source, line_end, end)
        if not match:
            self.endless_blocks.add(block[1])
            return line_end
        return match.end()

    def line(self, start: int, end: int) -> None:
        """line = field | music, less its comment."""
        source = self.source
        if source.find("%", start, end) >= 0:
            comment = _COMMENT.search(source, start, end)
            if comment:
                end = comment.start()
        field = _FIELD.match(source, start, end)
        if field and not (self.in_body and _MUSIC_NOT_FIELD.match(source, start, end)):
            text = source[field.end() : end].strip()
            if self.in_body:
                self.body_field(field[1], text, start, end)
            else:
                self.header_field(field[1], text, start, end)
        elif self.in_body:
            if source.find("|", start, end) < 0 and _is_prose(source[start:end].strip()):
                message = "this line is text and not music; it is ignored"
                self.report("error", "text-in-body", message, start, end)
            else:
                self.music(start, end)
        elif _LOOKS_LIKE_MUSIC.match(source[start:end].strip()) and not self.key_ahead(end):
            self.begin_body(start)
            self.music(start, end)
        else:
            message = "this line of the header is not a field"
            self.report("warning", "text-in-header", message, start, end)

    def key_ahead(self, position: int) -> bool:
        """Whether the header goes on: a K: field comes before an empty line."""
        place, found = self.key_search
        if place < position:
            match = _KEY_AHEAD.search(self.source, position, self.end)
            place, found = match.end() if match else self.end, bool(match and match[0].strip())
            self.key_search = place, found
        return found

    def after_tune(self, position: int, end: int) -> None:
        """Text after the empty line that ends a tune is free; music there was meant to sound."""
        for line in re.finditer(r"[^\n]+", self.source[position:end]):
            if _ONLY_MUSIC.fullmatch(line[0].strip()):
                begin = position + line.start()
                message = "an empty line ended the tune before this line of music"
                self.report("warning", "text-after-tune", message, begin, position + line.end())
                return

    # --- fields ---

    def header_field(self, letter: str, text: str, start: int, end: int) -> None:
        """field = letter ":" text. K: ends the header."""
        self.fields.append((letter, text))
        if letter == "X":
            self.reference_number(text, start, end)
        elif letter == "T":
            self.titles.append(text)
        elif letter == "R":
            self.rhythm = parse_rhythm(text)
        elif letter == "P":
            self.part_order = text
        elif letter == "V":
            name, _, rest = text.partition(" ")
            self.declared.setdefault(name or "1", rest)
        elif letter == "M":
            self.meter = self.value(parse_meter, text, start, end) or self.meter
        elif letter == "L":
            self.unit = self.value(parse_unit, text, start, end) or self.unit
        elif letter == "Q":
            self.tempo_field = (text, start, end)  # may depend on L:, which may follow
        elif letter == "K":
            self.key = self.value(parse_key, text, start, end) or self.key
            self.has_key = True
            self.begin_body(start)
        else:
            self.any_field(letter, text, start, end)

    def reference_number(self, text: str, start: int, end: int) -> None:
        """X: = number."""
        digits = re.match(r"\d{1,9}", text)
        self.number = int(digits[0]) if digits else 1
        if not digits:
            message = f'X: should be a number, found "{text[:20]}"'
            self.report("warning", "bad-x", message, start, end)

    def any_field(self, letter: str, text: str, start: int, end: int) -> None:
        """Fields that mean the same in header and body: I: is a directive, U: defines a symbol."""
        if letter not in _KNOWN_FIELDS:
            message = f'"{letter}:" is not a field of ABC; it is ignored'
            self.report("warning", "unknown-field", message, start, end)
        elif letter == "I":
            self.directive(text)
        elif letter == "U" and "=" in text:
            self.symbols.add(text.partition("=")[0].strip())

    def value(
        self, parse: Callable[..., T], text: str, start: int, end: int, *more: int
    ) -> T | None:
        """The value of a field, or what a doubtful text is taken for."""
        try:
            return parse(text, *more)
        except FieldError as error:
            self.report(error.severity, error.code, error.message, start, end)
            return error.value  # type: ignore[return-value]

    def begin_body(self, start: int) -> None:
        """The header is complete: what it leaves out takes its default."""
        self.in_body = True
        self.unit = self.unit or default_unit(self.meter)
        if self.tempo_field:
            text, begin, end = self.tempo_field
            self.tempo = self.value(parse_tempo, text, begin, end, self.unit)
        control = CONTROL.search(self.source, self.start, start)
        if control:
            message = f"the control character {control[0]!r} does not belong in a header"
            self.report("warning", "control-character", message, control.start(), control.end())
        if not self.has_key:
            message = "the header has no K: field; C major is assumed"
            self.report("error", "missing-key", message, start, start + 1)
        self.voice = self.voice_named(next(iter(self.declared), "1"))

    def voice_named(self, name: str) -> VoiceState:
        """The voice of that name, made if it is new."""
        if name not in self.voices:
            if len(self.voices) >= MOST_VOICES:
                self.report_voices(name)
                return self.voice
            shift = voice_shift(self.declared.get(name, ""))
            self.voices[name] = VoiceState(name, self.unit, self.meter, self.key, shift)
            if self.spread != "pitch":
                self.voices[name].set_spread(self.spread)
        return self.voices[name]

    def report_voices(self, name: str) -> None:
        if not any(one.code == "too-many-voices" for one in self.diagnostics):
            message = f'voice "{name[:20]}" is one too many: at most {MOST_VOICES} are read'
            self.report("error", "too-many-voices", message, self.start, self.start + 1)

    def body_field(self, letter: str, text: str, start: int, end: int) -> None:
        """A field line in the body, or an inline field: [K:G], [M:3/4], [L:1/16], [P:B], [V:2]."""
        voice = self.voice
        if letter == "K":
            key = self.value(parse_key, text, start, end)
            if key:
                if not (key.tonic or key.explicit) and text and not text.startswith("none"):
                    key = voice.key._replace(shift=key.shift)  # only the clef changes
                voice.set_key(key)
                voice.change("K", key, start, end)
        elif letter == "M":
            meter = self.value(parse_meter, text, start, end)
            if meter:
                voice.set_meter(meter)
                voice.change("M", meter, start, end)
        elif letter == "L":
            voice.set_unit(self.value(parse_unit, text, start, end) or voice.unit)
        elif letter == "Q":
            tempo = self.value(parse_tempo, text, start, end, voice.unit)
            if tempo:
                voice.change("Q", tempo, start, end)
        elif letter == "P":
            self.end_tuplet()
            voice.close_bar(start, 0, False, False)
            voice.part = text[:1]
        elif letter == "V":
            self.switch_voice(text)
        elif letter == "X":
            self.report("warning", "x-in-body", "X: inside a tune is ignored", start, end)
        else:
            self.any_field(letter, text, start, end)

    def switch_voice(self, text: str) -> None:
        """V: = name properties."""
        name, _, rest = text.partition(" ")
        first_use = bool(name) and name not in self.voices
        unnamed = len(self.voices) == 1 and not self.declared
        if first_use and unnamed and not self.voice.bars and not self.voice.elements:
            self.voices.clear()  # the voice that the body began with has no name and no music
        if first_use and rest:
            self.declared[name] = rest
        self.voice = self.voice_named(name or "1")

    # --- the end ---

    def finish(self) -> Tune:
        if not self.in_body:
            if not _HEADER_SEEN.search(self.source, self.start, self.end):
                what = "no tune here" if self.source.strip() else "the text is empty"
                message = f"{what}: expected header fields such as X: and K:"
                raise AbcError(message, line=self.first_line)
            self.begin_body(max(self.start, self.end - 1))
        for voice in self.voices.values():
            self.voice = voice
            self.end_tuplet()
            voice.close_bar(self.end, 0, False, False)
            if voice.opens and voice.bars and not voice.bars[-1].closes:
                message = 'this "|:" at the end repeats nothing'
                end = voice.bars[-1].end
                self.report("warning", "unclosed-repeat", message, end, end + 2)
            if voice.broken:
                message = "broken rhythm without a note after it"
                end = voice.bars[-1].end if voice.bars else self.end
                self.report("warning", "bad-broken-rhythm", message, max(0, end - 1), end)
        if self.open_slurs:
            begin = self.open_slurs[0]
            self.report("warning", "unclosed-slur", 'a "(" without its ")"', begin, begin + 1)
        if self.number is None:
            message = "the tune has no X: field before the others"
            self.report("warning", "missing-x", message, self.start, self.start + 1)
        if not self.titles:
            message = "the tune has no T: field"
            self.report("warning", "missing-title", message, self.start, self.start + 1)
        voices = [voice for voice in self.voices.values() if voice.bars]
        voices = voices or list(self.voices.values())[:1]
        return Tune(
            self.source,
            self.first_line,
            Span(self.start, self.end),
            self.number,
            tuple(self.titles),
            self.rhythm,
            self.meter,
            self.unit,
            self.tempo,
            self.key,
            self.part_order,
            tuple(self.fields),
            tuple(voice.finished() for voice in voices),
            tuple(self.diagnostics),
        )


def _is_prose(line: str) -> bool:
    """Whether a line of the body is words: two of them have letters that no note or sign has."""
    return bool(_PROSE.fullmatch(line)) and len(_NO_NOTES_WORD.findall(line)) > 1

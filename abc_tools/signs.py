"""The signs of a line of music that have no length: slurs, decorations, texts, line breaks, and
characters that mean nothing. `MusicReader` adds the notes, rests and barlines."""

from __future__ import annotations

import re

from abc_tools.errors import Diagnostic, Severity, locate
from abc_tools.scanner import DECORATIONS, EXTENSIONS, PREDEFINED_SYMBOLS
from abc_tools.tune import Mark, Span
from abc_tools.voice import VoiceState

MAX_DIAGNOSTICS = 200  # of one tune; a tune with more is not read any better with them
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]")
_UNCLOSED_TEXT = re.compile(r'"[^\s|"]*')
_UNCLOSED_FIELD = re.compile(r"\[[A-Za-z]:[^\s|\]]*")
_WORD = re.compile(r"[a-z]{2,14}")
_STRAY: dict[str, tuple[Severity, str, str]] = {
    "[": ("error", "unclosed-chord", 'a "[" that no "]" closes on this line'),
    "]": ("error", "stray-bracket", 'a "]" without its "["'),
    "{": ("error", "unclosed-grace", 'a "{" that no "}" closes on this line'),
    "}": ("error", "stray-brace", 'a "}" without its "{"'),
}


class SignReader:
    """Reads signs into `voice`; one method a token, the grammar rule in its docstring."""

    voice: VoiceState  # there is none before the music begins

    def __init__(self, source: str, first_line: int):
        self.source = source
        self.first_line = first_line
        self.diagnostics: list[Diagnostic] = []
        self.line_end = 0  # of the line that is being read
        self.skip_to = 0  # what a rule has read beyond its own token
        self.open_slurs: list[int] = []
        self.crossing: Mark | None = None  # a tuplet reported for going over a barline
        self.symbols = set(PREDEFINED_SYMBOLS)  # letters that stand for a decoration

    def report(self, severity: Severity, code: str, message: str, start: int, end: int) -> None:
        if len(self.diagnostics) < MAX_DIAGNOSTICS:
            span = Span(start, end)
            line, column, source_line = locate(self.source, span, self.first_line)
            self.diagnostics.append(
                Diagnostic(severity, line, column, code, message, span, source_line)
            )

    # --- what stands at notes ---

    def slur(self, text: str, begin: int) -> None:
        """slur = "(" ... ")"."""
        self.open_slurs.append(begin)
        self.voice.marks.append(Mark("slur", "(", begin, begin + 1))

    def closing(self, text: str, begin: int) -> None:
        """The end of a slur that does not touch its note."""
        self.close_slurs(1, begin)
        self.voice.close_last()

    def close_slurs(self, count: int, begin: int) -> None:
        for _ in range(count):
            if self.open_slurs:
                self.open_slurs.pop()
            else:
                self.report("warning", "stray-slur", 'a ")" without its "("', begin, begin + 1)

    def letter(self, text: str, begin: int) -> None:
        """A decoration of one letter or sign: . ~ u v T and those that U: defines."""
        if text not in self.symbols:
            self.symbols.add(text)  # one report is enough
            message = (
                f'the symbol "{text}" is not defined: it is neither predefined nor in a U: field'
            )
            self.report("warning", "undefined-symbol", message, begin, begin + 1)
        self.voice.marks.append(Mark("decoration", text, begin, begin + 1))

    def name(self, text: str, begin: int) -> None:
        """decoration = "!" name "!" (outdated: "+" name "+")."""
        end = begin + len(text)
        name = text[1:-1]
        if text not in self.symbols and not is_decoration(name):
            self.symbols.add(text)
            message = f'the decoration "{text}" is not known; it is ignored'
            self.report("warning", "unknown-decoration", message, begin, end)
        self.voice.marks.append(Mark("decoration", f"!{name}!", begin, end))

    def text(self, text: str, begin: int) -> None:
        """quoted = chord symbol | annotation."""
        kind = "chord symbol" if text[1:2] in "ABCDEFG" and text != '""' else "annotation"
        self.voice.marks.append(Mark(kind, text, begin, begin + len(text)))

    # --- signs without sound ---

    def spacer(self, text: str, begin: int) -> None:
        """y: space on paper, none in time."""

    def line_sign(self, text: str, begin: int) -> None:
        r"""\ $ ! * ; are about line breaks; "!" may also be a decoration that is not closed."""
        end = begin + len(text)
        if end == self.line_end:
            return
        for place, sign in enumerate(text, begin):
            if sign not in "!$":
                self.stray(sign, place)
        word = _WORD.match(self.source, end) if text.endswith("!") else None
        if word and word[0] in DECORATIONS:
            message = f'the decoration "!{word[0]}" has no closing "!"'
            self.report("warning", "unclosed-decoration", message, end - 1, word.end())
            self.skip_to = word.end()

    def field(self, text: str, begin: int) -> None:
        """inline field = "[" letter ":" text "]"."""
        self.body_field(text[1], text[3:-1].strip(), begin, begin + len(text))

    def body_field(self, letter: str, text: str, start: int, end: int) -> None:
        raise NotImplementedError

    def bar(self, text: str, begin: int) -> None:
        raise NotImplementedError

    # --- what means nothing ---

    def stray(self, text: str, begin: int) -> None:
        """A character that no rule reads; the usual ones have codes of their own."""
        end = begin + len(text)
        line_start = self.source.rfind("\n", 0, begin) + 1
        if text == ":" and not self.source[line_start:begin].strip():
            self.report("warning", "stray-colon", 'a ":" alone is taken for "|:"', begin, end)
            self.bar("|:", begin)
        elif text == '"':
            self.skip_unclosed(_UNCLOSED_TEXT, begin, "unclosed-text", "a quotation mark")
        elif text == "[" and _UNCLOSED_FIELD.match(self.source, begin):
            self.skip_unclosed(_UNCLOSED_FIELD, begin, "unclosed-field", "an inline field")
        elif CONTROL.match(text):
            message = f"the control character {text!r} is ignored"
            self.report("warning", "control-character", message, begin, end)
        else:
            unknown = ("error", "unexpected-character", f"{text!r} means nothing here")
            severity, code, message = _STRAY.get(text, unknown)
            self.report(severity, code, message, begin, end)  # type: ignore[arg-type]

    def skip_unclosed(self, word: re.Pattern[str], begin: int, code: str, what: str) -> None:
        """Something that is not closed on its line: one word is taken for what was meant."""
        match = word.match(self.source, begin)
        assert match
        self.skip_to = match.end()
        message = f"{what} that nothing closes on this line"
        self.report("error", code, message, begin, self.skip_to)


def is_decoration(name: str) -> bool:
    """Whether programs know a name that stands between "!" and "!": `!f!`, `!3!`, `!trill(!`.

    >>> is_decoration("fermata"), is_decoration("crescendo("), is_decoration("fremata")
    (True, True, False)
    """
    bare = name.rstrip("()").lower()
    return bare in DECORATIONS or bare in EXTENSIONS or bare.isdecimal() or not bare.isalpha()

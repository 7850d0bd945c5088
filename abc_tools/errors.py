"""What can be wrong with a tune: a fatal `AbcError`, and `Diagnostic`s with a place in the text.

AbcError      nothing can be read: no tune in the text, or not text at all
Diagnostic    the tune was read, but this place is wrong ("error") or doubtful ("warning")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from abc_tools.tune import Span

if TYPE_CHECKING:
    from abc_tools.tune import Tune

NOWHERE = Span(0, 0)
Severity = Literal["error", "warning"]


class AbcError(ValueError):
    """The text holds no tune that could be read. `code` is stable, as in `Diagnostic`."""

    def __init__(self, message: str, *, code: str = "no-tune", line: int = 1, column: int = 1):
        super().__init__(message)
        self.message = message
        self.code = code
        self.line = line
        self.column = column

    def __str__(self) -> str:
        return f"{self.line}:{self.column}: {self.message}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing wrong with a tune. Line and column count from 1; `span` is in the source."""

    severity: Severity
    line: int
    column: int
    code: str
    message: str
    span: Span = NOWHERE
    source_line: str = ""

    def marker(self) -> str:
        """The source line and, under it, `~~~` below the characters that are meant."""
        before = self.source_line[: self.column - 1]
        length = min(self.span.end - self.span.start, len(self.source_line) - len(before))
        # A tab stays a tab, so that the marker lines up whatever the reader's tab width.
        indent = "".join("\t" if char == "\t" else " " for char in before)
        return f"    {self.source_line}\n    {indent}{'~' * max(1, length)}"

    def format(self, path: str = "") -> str:
        """`path:line:column: message`, then the marker (if there is a line), as compilers do."""
        place = f"{path}:{self.line}:{self.column}" if path else f"{self.line}:{self.column}"
        marker = f"\n{self.marker()}" if self.source_line else ""
        return f"{place}: {self.message}{marker}"

    def __str__(self) -> str:
        return self.format()


def locate(source: str, span: Span, first_line: int = 1) -> tuple[int, int, str]:
    """(line, column, text of that line) of a span's start; lines count from `first_line`."""
    start = min(span.start, len(source))
    begin = source.rfind("\n", 0, start) + 1
    end = source.find("\n", start)
    line_text = source[begin : end if end >= 0 else len(source)]
    return first_line + source.count("\n", 0, begin), start - begin + 1, line_text


def diagnostic(
    tune: Tune, severity: Severity, code: str, message: str, start: int, end: int
) -> Diagnostic:
    """What a check found between two offsets of a tune's source."""
    span = Span(start, end)
    line, column, text = locate(tune.source, span, tune.first_line)
    return Diagnostic(severity, line, column, code, message, span, text)

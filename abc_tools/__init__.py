"""ABC tunes: read, check, rewrite, play.

decode_bytes, split_tunes    a file -> text -> one TuneText for each tune
parse_tune                   text -> Tune, with everything that was noticed on the way
check_tune                   Tune -> all diagnostics, musical ones included
canonical_text               Tune -> the one spelling that models are trained on
transpose                    Tune -> the same tune in another key
unfold                       Tune -> the notes that sound
to_midi                      Tune -> a MIDI file, and when and where each of its notes is
repetition, passes_gate      does it loop; is it fit to be played to people
plain_statistics             counts of notes, bars and repetition to show beside it
"""

from abc_tools.book import TuneText, decode_bytes, split_tunes
from abc_tools.canonical import canonical_text
from abc_tools.checks import check_tune
from abc_tools.errors import AbcError, Diagnostic
from abc_tools.gate import GateResult, passes_gate
from abc_tools.midi import MidiOptions, MidiResult, to_midi
from abc_tools.parser import parse_tune
from abc_tools.repetition import Repetition, plain_statistics, repetition
from abc_tools.transpose import transpose
from abc_tools.tune import Bar, Chord, Key, Meter, Note, Rest, Span, Tune
from abc_tools.unfold import Performance, SoundingNote, unfold

__all__ = [
    "AbcError",
    "Bar",
    "Chord",
    "Diagnostic",
    "GateResult",
    "Key",
    "Meter",
    "MidiOptions",
    "MidiResult",
    "Note",
    "Performance",
    "Repetition",
    "Rest",
    "SoundingNote",
    "Span",
    "Tune",
    "TuneText",
    "canonical_text",
    "check_tune",
    "decode_bytes",
    "parse_tune",
    "passes_gate",
    "plain_statistics",
    "repetition",
    "split_tunes",
    "to_midi",
    "transpose",
    "unfold",
]

"""A tune -> MusicXML, for notation programs; written by music21, from our own notes.

    to_musicxml(tune) -> str

Kept: title, composer, key, meter, tempo, repeats and endings, pick-up bars, tuplets, ties, beams,
chords, overlays (as voices), grace notes, slurs, the usual decorations, chord symbols. Left out:
lyrics, decorations that MusicXML has no word for, and what a note of a chord lasts beyond its bar.
Lengths are exact down to a 128th note; music21 writes shorter ones as the nearest it can.

music21 takes a second to import: that waits for the first tune. A tune then takes about 40 ms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from abc_tools.tune import Tune


def to_musicxml(tune: Tune) -> str:
    """The MusicXML document, each voice a part; a tune without notes gives one empty bar."""
    from abc_tools.musicxml_score import document

    return document(tune)

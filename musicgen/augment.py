"""Transposition to the keys that folk players use, on the notation, so scale degrees are kept."""

from __future__ import annotations

from abc_tools import canonical_text, parse_tune, transpose, unfold

# Tonic -> how much it is drawn, by mode: about how often fiddle, flute and pipe players meet it.
# Counted over the default corpus and flattened (square root), so that rare keys are still learned.
FOLK_KEYS: dict[str, dict[str, float]] = {
    "": {  # major
        "G": 3,
        "D": 3,
        "A": 2,
        "C": 1.5,
        "F": 1.2,
        "Bb": 1,
        "E": 0.7,
        "Eb": 0.5,
    },
    "min": {"A": 2, "E": 2, "G": 1.2, "D": 1.5, "B": 1.2, "C": 0.5},
    "dor": {"A": 2, "E": 2, "G": 1.2, "D": 1.5, "B": 1},
    "mix": {"D": 2, "A": 2, "G": 1.2, "E": 0.7, "C": 0.5},
}
LOWEST, HIGHEST = 55, 88  # MIDI pitch of the fiddle's open G and of the highest note kept


def in_folk_keys(abc: str) -> dict[str, float]:
    """Canonical texts of a tune in each folk key of its mode, itself included -> weight.

    A key that would take the tune out of a fiddle's first positions is left out, unless it is the
    tune's own. A mode outside FOLK_KEYS keeps its one key.
    """
    tune = parse_tune(abc)
    own = tune.key.tonic
    weights = FOLK_KEYS.get(tune.key.mode, {})
    texts = {abc: weights.get(own, 0.5)}
    for tonic, weight in weights.items():
        if tonic == own:
            continue
        try:
            moved = transpose(tune, tonic)
        except ValueError:  # an accidental that no notation can carry
            continue
        pitches = [note.pitch for note in unfold(moved).notes]
        if pitches and min(pitches) >= LOWEST and max(pitches) <= HIGHEST:
            texts[canonical_text(moved, plain=True, title=False)] = weight
    return texts

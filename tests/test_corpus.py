"""The corpus: reading, cleaning, copies, splits; on real books and on files of one's own."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from abc_tools import parse_tune, passes_gate, unfold
from musicgen.augment import FOLK_KEYS, in_folk_keys
from musicgen.corpus import (
    CorpusConfig,
    CorpusError,
    bar_fingerprints,
    build_corpus,
    plain_text,
    read_corpus,
)
from musicgen.rhythm import rhythm_of

REEL = """X:1
T:The Made-up Reel
R:Reel
M:C|
L:1/8
K:D
|:A|"D"d2fd Adfd|{g}e2ce Aceg|~f3d Adfa|gfed cABc|
d2fd Adfd|e2ce Aceg|f2af gfec|d2f2 d3:|
"""


def transposed(abc: str, tonic: str) -> str:
    """A copy of `abc` in another key, by the notation."""
    from abc_tools import canonical_text, transpose

    return canonical_text(transpose(parse_tune(abc), tonic))


def build(tmp_path: Path, *texts: str) -> tuple[list, dict]:
    for number, text in enumerate(texts):
        (tmp_path / f"own{number}.abc").write_text(text, encoding="utf-8")
    files = tuple(sorted(tmp_path.glob("*.abc")))
    corpus = build_corpus(CorpusConfig(tmp_path / "out", add=files, books=()))
    tunes = [t for split in ("train", "validation", "test") for t in corpus.tunes(split)]
    return tunes, corpus.manifest


def test_the_text_for_models_has_no_ornaments_and_one_spelling_of_common_time() -> None:
    text = plain_text(parse_tune(REEL), "reel")
    assert text.startswith("X:1\nR:reel\nM:4/4\nL:1/8\nK:D\n|:A|d2fd Adfd|e2ce Aceg|f3d Adfa|")


def test_a_copy_in_another_key_is_dropped_and_counted(tmp_path: Path) -> None:
    tunes, manifest = build(tmp_path, REEL, transposed(REEL, "G"))
    assert [tune.title for tune in tunes] == ["The Made-up Reel"]
    assert manifest["rejected"] == {"copy": 1}


def test_a_setting_of_the_same_tune_never_lands_in_another_split(tmp_path: Path) -> None:
    rng = random.Random(0)
    tunes = []
    for n in range(30):
        bars = ["".join(rng.choices("DEFGABcdefga", k=8)) for _ in range(8)]
        head = f"X:1\nT:Tune {n}\nR:reel\nM:4/4\nL:1/8\nK:D\n"
        tunes.append(f"{head}|:{'|'.join(bars)}:|\n")
        tunes.append(f"{head.replace('Tune', 'Other')}|:{'|'.join(bars[:5])}|d4d4|D8:|\n")
    build(tmp_path, "\n".join(tunes))
    corpus = read_corpus(tmp_path / "out")
    where = {
        tune.title.split()[1]: split
        for split in ("train", "validation", "test")
        for tune in corpus.tunes(split)
    }
    seen = Counter()
    for split in ("train", "validation", "test"):
        for tune in corpus.tunes(split):
            assert where[tune.title.split()[1]] == split
            seen[split] += 1
    assert seen["validation"] and seen["test"]


def test_fingerprints_ignore_key_and_the_meter_it_is_written_in() -> None:
    in_d = bar_fingerprints(parse_tune(REEL))
    in_a = bar_fingerprints(parse_tune(transposed(REEL, "A")))
    halved = parse_tune(REEL.replace("M:C|", "M:2/4").replace("L:1/8", "L:1/16"))
    assert in_d == in_a == bar_fingerprints(halved)


def test_the_same_input_gives_the_same_folder_and_a_changed_one_is_noticed(tmp_path: Path) -> None:
    _, manifest = build(tmp_path, REEL)
    assert manifest["hash"] == build(tmp_path, REEL)[1]["hash"]
    assert read_corpus(tmp_path / "out").hash == manifest["hash"]
    with open(tmp_path / "out" / "train.jsonl", "a") as file:
        file.write("\n")
    with pytest.raises(CorpusError, match="was changed since it was built"):
        read_corpus(tmp_path / "out")


def test_files_that_are_no_abc_are_counted_with_their_reason(tmp_path: Path) -> None:
    _, manifest = build(tmp_path, REEL, "Dear Sir,\nno music here.\n", "X:9\nM:4/4\nK:C\nC4|\n")
    assert manifest["rejected"] == {"unreadable": 1, "fewer than 4 bars": 1}
    rejected = (tmp_path / "out" / "rejected.jsonl").read_text().splitlines()
    assert json.loads(rejected[0])["source"].startswith("own1.abc:")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"add": (Path("/nowhere"),)}, "--add /nowhere: no such file or folder"),
        ({"books": ("essen",)}, "add --accept-essen-terms if it suits"),
        ({"books": ("klezmer",)}, "no book 'klezmer': there are oneill1850"),
        ({"books": ()}, "no usable tune in what was given"),
    ],
)
def test_what_cannot_be_built_says_why(config: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=message):
        build_corpus(CorpusConfig(tmp_path / "out", **{"books": (), **config}))


def test_a_real_book_is_read_credited_and_mostly_sound(tmp_path: Path) -> None:
    corpus = build_corpus(CorpusConfig(tmp_path, books=("aird",), validation=20, test=20))
    tunes = [t for split in ("train", "validation", "test") for t in corpus.tunes(split)]
    assert len(tunes) > 1000
    assert any("Jack Campin" in credit for credit in corpus.manifest["credits"])
    assert sum(tune.gate for tune in tunes) > 0.75 * len(tunes)
    for tune in tunes[::25]:
        assert tune.gate == bool(passes_gate(tune.abc))
        assert tune.key == parse_tune(tune.abc).key.text


def test_folk_keys_keep_scale_degrees_and_stay_on_the_fiddle() -> None:
    variants = in_folk_keys(plain_text(parse_tune(REEL), "reel"))
    assert {parse_tune(abc).key.tonic for abc in variants} <= set(FOLK_KEYS[""])
    assert len(variants) >= 5
    original = bar_fingerprints(parse_tune(next(iter(variants))))
    for abc in variants:
        tune = parse_tune(abc)
        assert bar_fingerprints(tune) == original
        pitches = [note.pitch for note in unfold(tune).notes]
        assert min(pitches) >= 55 and max(pitches) <= 88


@pytest.mark.parametrize(
    ("field", "title", "meter", "number", "rhythm"),
    [
        ("Double Jig", "", "6/8", None, "jig"),
        ("jig", "", "9/8", None, "slip jig"),
        ("", "Acrobat's -- Hornpipe", "C|", None, "hornpipe"),
        ("", "The Jig Reel", "2/4", None, None),
        ("", "Planxty Drew", "6/8", 690, "air"),
        ("", "Toss the Feathers", "C|", 1200, "reel"),
        ("", "Toss the Feathers", "6/8", 1200, None),
        ("", "Nameless", "C|", None, None),
    ],
)
def test_the_rhythm_comes_from_field_title_or_section(
    field: str, title: str, meter: str, number: int | None, rhythm: str | None
) -> None:
    assert rhythm_of(field, title, meter, number) == rhythm

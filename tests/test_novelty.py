"""The nearest corpus tune: key, spelling and a few notes do not hide a copy; new tunes are new."""

import io
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from abc_tools import AbcError, canonical_text, decode_bytes, parse_tune, split_tunes, transpose
from benchmarks.novelty import backwards, with_wrong_notes
from musicgen import novelty
from musicgen.corpus import CorpusConfig, CorpusTune, source_files
from musicgen.melody import BAR, Melody
from musicgen.novelty import (
    FILE_NAME,
    Nearest,
    NoveltyError,
    NoveltyIndex,
    Passage,
    compare_file,
    corpus_index,
    describe,
    is_copy,
)

HEAD = "X:1\nT:{}\nM:4/4\nL:1/8\nK:D\n"
REEL = """|:d2fd Adfd|e2ce Aceg|f3d Adfa|gfed cABc|
d2fd Adfd|e2ce Aceg|f2af gfec|d2f2 d3:|
|:a|fgaf d2df|gbag e2ce|fdAd FAdf|edcB A2FG|
fgaf d2df|gbag e2ce|faaf gfec|d2f2 d3:|
"""
MARCH = """|:D2 FA d3 c|BAGF E2 A,2|DEFG A2 d2|c2 BA G2 FE|
D2 FA d3 f|edcB A2 G2|FGAB A2 G2|F2 D2 D4:|
|:A3 B A2 F2|G2 B2 d4|cBAG FGAF|E2 C2 A,4|
A3 B A2 F2|GABc d3 e|fedc BAGF|E2 A,C D4:|
"""


def corpus_tune(name: str, body: str) -> CorpusTune:
    abc = HEAD.format(name) + body
    return CorpusTune(name, abc, f"The {name}", "own", "", None, "4/4", "D", True)


@pytest.fixture(scope="module")
def index() -> NoveltyIndex:
    return NoveltyIndex.build([corpus_tune("march", MARCH), corpus_tune("reel", REEL)])


@pytest.mark.parametrize("tonic", ["D", "G", "Bb", "F"])
def test_a_transposed_copy_shares_everything(index: NoveltyIndex, tonic: str) -> None:
    abc = canonical_text(transpose(parse_tune(HEAD.format("x") + REEL), tonic))
    found = index.nearest(abc)
    assert (found.tune_id, found.title) == ("reel", "The reel")
    assert (found.similarity, found.shared_bars) == (1.0, 1.0)
    assert found.longest_passage is not None
    assert found.longest_passage.notes == len(Melody.of(parse_tune(abc)).pitches)
    assert is_copy(found)


def test_sixteenths_in_two_four_are_the_eighths_of_common_time(index: NoveltyIndex) -> None:
    abc = (HEAD.format("x") + REEL).replace("M:4/4\nL:1/8", "M:2/4\nL:1/16")
    assert replace(index.nearest(abc), longest_passage=None) == Nearest(
        "reel", "The reel", 1.0, 1.0, None
    )


def test_ornaments_ties_and_chords_do_not_hide_a_copy(index: NoveltyIndex) -> None:
    body = REEL.replace("f3d Adfa", "~f2-fd A[Ad]{g}fa", 1).replace("d2fd", '"D"d2fd')
    found = index.nearest(HEAD.format("x") + body)
    assert (found.tune_id, found.similarity, found.shared_bars) == ("reel", 1.0, 1.0)


def test_with_a_tenth_of_its_notes_changed_a_tune_is_still_a_copy(index: NoveltyIndex) -> None:
    tune = parse_tune(HEAD.format("x") + REEL)
    for seed in range(5):
        found = index.nearest(with_wrong_notes(tune, random.Random(seed)))
        assert found.tune_id == "reel"
        assert 0.6 < found.similarity < 1
        assert is_copy(found)


# Two bars. The first stands in the corpus tune a fourth lower, as its third bar; the second does
# not, nor does the step between them.
HALF_KNOWN = "X:1\nM:4/4\nL:1/8\nK:C\nCEDF AGFE|g2b2 Bc'Bc|]\n"
CORPUS_OF_IT = "X:1\nM:4/4\nL:1/8\nK:G\nG8|D8|G,B,A,C EDCB,|D8|G8|]\n"


def one_tune(abc: str) -> NoveltyIndex:
    return NoveltyIndex.of([("one", "One", parse_tune(abc))])


def test_similarity_and_shared_bars_are_what_the_worked_example_says() -> None:
    found = one_tune(CORPUS_OF_IT).nearest(HALF_KNOWN)
    passage = Passage(notes=8, bars=0.88, line=5, column=1, bar=1, corpus_bar=3)
    # the second bar has 6 notes
    assert found == Nearest("one", "One", 8 / 14, 0.5, passage)
    changed = HALF_KNOWN.replace("AGFE", "BGFE")
    assert one_tune(CORPUS_OF_IT).nearest(changed) == Nearest("", "", 0.0, 0.0, None)


def test_bars_are_shared_only_if_all_are_moved_by_one_interval() -> None:
    corpus = "X:1\nM:2/4\nL:1/8\nK:C\nCEGE|z4|DFAF|z4|CDED|]\n"
    # CEGE a fifth higher, DFAF as it stands (not a fifth higher), CDED a fifth higher, one more
    query = "X:1\nM:2/4\nL:1/8\nK:G\nGBdB|z4|DFAF|z4|GABA|z4|B2A2|]\n".replace("DFAF", "D=FAF")
    assert one_tune(corpus).nearest(query).shared_bars == 2 / 4


def test_runs_count_only_if_all_are_moved_by_one_interval() -> None:
    corpus = "X:1\nM:4/4\nL:1/8\nK:C\nCEDFEG z2|D2B,2 D4|cBdcAB z2|]\n"
    together = "X:1\nM:4/4\nL:1/8\nK:C\nCEDFEG z2|c6 z2|cBdcAB z2|]\n"
    assert one_tune(corpus).nearest(together).similarity == 12 / 13
    apart = together.replace("cBdcAB", "gfagef")  # a fifth higher, as the first run is not
    assert one_tune(corpus).nearest(apart.replace("gf", "g^f")).similarity == 6 / 13


def test_one_changed_note_ends_a_passage(index: NoveltyIndex) -> None:
    before, changed = "|:d2fd Adfd|e2ce Aceg|f3d ", "g"  # A in the reel
    after = REEL.removeprefix(before).removeprefix("A")
    found = index.nearest(HEAD.format("x") + before + changed + after)
    notes = len(Melody.of(parse_tune(HEAD.format("x") + REEL)).pitches)
    assert found.longest_passage is not None
    assert (found.longest_passage.notes, found.longest_passage.bar) == (notes - 7 - 7 - 3, 3)
    assert found.longest_passage.column == len(before) + 2


def test_no_run_reaches_from_one_tune_into_the_next() -> None:
    head = "X:1\nM:4/4\nL:1/8\nK:C\n"
    index = NoveltyIndex.of(
        [("a", "A", parse_tune(f"{head}c'agCDE|]\n")), ("b", "B", parse_tune(f"{head}FGAcgc'|]\n"))]
    )
    # the E is too short for a step: it takes no time, as the last note of a tune in the index
    found = index.nearest(f"{head}CDE/1024FGA|]\n")
    assert found.similarity == 0


def test_a_tune_made_of_two_halves_is_a_copy_by_its_passage(index: NoveltyIndex) -> None:
    half_march, half_reel = MARCH.split("|:A3")[0], REEL.split("|:a")[0]
    found = index.nearest(HEAD.format("x") + half_march + half_reel)
    assert 0.4 < found.shared_bars <= 0.6
    assert found.longest_passage is not None
    assert found.longest_passage.notes >= novelty.COPY_NOTES
    assert is_copy(found)


def test_the_passage_says_where_it_begins_in_both_tunes(index: NoveltyIndex) -> None:
    own = "A2 B4 z2|F2 E6|\nz2 C2 A4|"
    borrowed = "gfed cABc|\nd2fd Adfd|e2ce Aceg|"  # bars 4 to 6 of the reel
    abc = HEAD.format("x").replace("X:1\n", "%comment\nX:1\n") + own + borrowed + "D8|]\n"
    found = index.nearest(abc)
    line = "z2 C2 A4|"
    assert found.longest_passage == Passage(
        notes=8 + 7 + 7, bars=2.88, line=8, column=len(line) + 1, bar=4, corpus_bar=4
    )
    assert abc.splitlines()[7][len(line)] == "g"


def test_of_two_tunes_as_near_the_first_is_named() -> None:
    tune = parse_tune(HEAD.format("x") + REEL)
    index = NoveltyIndex.of([("a", "A", tune), ("b", "B", tune)])
    assert index.nearest(tune).tune_id == "a"


def test_tunes_of_different_makers_are_not_copies(tiny_corpus: Path, index: NoveltyIndex) -> None:
    tunes = [parse_tune(part) for part in split_tunes(tiny_corpus.read_text())]
    assert len(tunes) == 5
    for tune in tunes:
        found = index.nearest(tune)
        assert not is_copy(found)
        assert found.similarity < 0.3


def test_each_sign_of_a_copy_is_enough_and_its_limit_is_exact() -> None:
    def nearest(similarity: float, bars: float, notes: int) -> Nearest:
        return Nearest("t", "T", similarity, bars, Passage(notes, 1.0, 1, 1, 1, 1))

    assert not is_copy(nearest(0.64, 0.5, 31))
    assert not is_copy(Nearest("", "", 0.0, 0.0, None))
    assert is_copy(nearest(0.65, 0.5, 31))
    assert is_copy(nearest(0.64, 0.51, 31))
    assert is_copy(nearest(0.64, 0.5, 32))


def test_a_copy_comes_before_a_more_similar_tune_that_is_none() -> None:
    query = parse_tune("X:1\nM:2/4\nL:1/8\nK:C\nCEGc|z4|DFAd|z4|EGBe|z4|cBcd efga|]\n")
    bars_only = "X:1\nM:2/4\nL:1/8\nK:C\nCEGc|z2 z2|F4|DFAd|z4|B,4|EGBe|]\n"
    run_only = "X:1\nM:2/4\nL:1/8\nK:C\nA,4|cBcd efga|A,4|]\n"
    index = NoveltyIndex.of(
        [("run", "Run", parse_tune(run_only)), ("bars", "Bars", parse_tune(bars_only))]
    )
    found = index.nearest(query)
    assert (found.tune_id, found.similarity, found.shared_bars) == ("bars", 0.0, 3 / 4)
    assert is_copy(found)


def test_a_text_without_a_tune_is_refused(index: NoveltyIndex) -> None:
    for text in ("", "Dear Sir,\nno music here.\n"):
        with pytest.raises(AbcError):
            index.nearest(text)


@pytest.mark.parametrize(("body", "count"), [("", 0), ("z8|z8|]", 0), ("CDE z2|]", 3)])
def test_a_tune_of_too_few_notes_is_refused(index: NoveltyIndex, body: str, count: int) -> None:
    with pytest.raises(NoveltyError, match=f"^the tune has {count} notes: at least 6 are needed"):
        index.nearest(f"X:1\nM:4/4\nL:1/8\nK:C\n{body}\n")


def test_an_index_of_nothing_is_refused() -> None:
    with pytest.raises(NoveltyError, match="the corpus is empty"):
        NoveltyIndex.build([])


def test_an_index_that_was_saved_and_loaded_answers_the_same(
    index: NoveltyIndex, tmp_path: Path
) -> None:
    path = tmp_path / "folder" / "index.npz"
    index.save(path)
    again = NoveltyIndex.load(path)
    assert len(again) == 2
    tune = parse_tune(HEAD.format("x") + MARCH.split("|:A3")[0] + REEL.split("|:a")[1])
    assert again.nearest(tune) == index.nearest(tune)
    assert [item.name for item in path.parent.iterdir()] == ["index.npz"]


def test_bars_of_neighbouring_tunes_stay_apart_after_loading(tmp_path: Path) -> None:
    one = parse_tune("X:1\nM:4/4\nL:1/8\nK:C\nz2 CEDFGA|]\n")
    both = NoveltyIndex.of([("a", "A", one), ("b", "B", one)])
    both.save(tmp_path / "index.npz")
    found = NoveltyIndex.load(tmp_path / "index.npz").nearest(one)
    assert (found.tune_id, found.shared_bars) == ("a", 1.0)


def test_a_damaged_file_is_one_line_that_names_the_repair(
    index: NoveltyIndex, tmp_path: Path
) -> None:
    path = tmp_path / "index.npz"
    index.save(path)
    whole = path.read_bytes()
    for data in (b"", b"no index", whole[:-200], whole[:300] + b"\0" * 90 + whole[390:]):
        path.write_bytes(data)
        with pytest.raises(NoveltyError, match=r"^.*index\.npz is damaged.*: delete it") as caught:
            NoveltyIndex.load(path)
        assert "\n" not in str(caught.value)
    with np.load(io.BytesIO(whole)) as file:
        arrays = dict(file)
    np.savez(path, **{**arrays, "waits": arrays["waits"][:-1]})
    with pytest.raises(NoveltyError, match="its parts do not fit together"):
        NoveltyIndex.load(path)
    about = arrays["about"].tobytes().replace(b'"format": 1', b'"format": 0')
    np.savez(path, **{**arrays, "about": np.frombuffer(about, dtype=np.uint8)})
    with pytest.raises(NoveltyError, match="another version"):
        NoveltyIndex.load(path)


BOOK = ("northumbrian",)


@pytest.fixture(scope="module")
def book_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    corpus_index(home, BOOK)
    return home


def test_each_tune_of_a_book_is_found_in_another_key_and_none_is_found_backwards(
    book_home: Path,
) -> None:
    index = corpus_index(book_home, BOOK)
    assert len(index) > 100
    ((_, path),) = source_files(CorpusConfig(Path(), books=BOOK))
    found_again, false_alarms = 0, 0
    parts = split_tunes(decode_bytes(path.read_bytes()))[:60]
    for part in parts:
        tune = parse_tune(part)
        found = index.nearest(transpose(tune, "Bb" if tune.key.tonic != "Bb" else "F"))
        same = found.tune_id == f"northumbrian/{path.name}:{part.line}"
        found_again += same or found.title == tune.title
        assert found.similarity == 1.0
        false_alarms += is_copy(index.nearest(backwards(tune)))
    assert found_again >= 58  # some tunes stand in the book twice
    assert false_alarms <= 1


def test_the_index_of_the_books_is_kept_and_made_again_when_needed(
    book_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = (book_home / FILE_NAME).read_bytes()
    made: list[int] = []
    build = NoveltyIndex.of.__func__

    def counted(cls: type, *arguments):
        made.append(1)
        return build(cls, *arguments)

    monkeypatch.setattr(NoveltyIndex, "of", classmethod(counted))
    corpus_index(book_home, BOOK)
    assert made == []
    path = tmp_path / FILE_NAME
    path.write_bytes(kept[: len(kept) // 2])
    corpus_index(tmp_path, BOOK)
    assert made == [1]
    assert path.read_bytes() == kept
    of_other_books = NoveltyIndex(NoveltyIndex.load(path)._notes, source="other files")
    of_other_books.save(path)
    assert len(corpus_index(tmp_path, BOOK)) == len(of_other_books)
    assert made == [1, 1]
    assert path.read_bytes() == kept


def test_a_home_that_cannot_be_written_is_a_warning_not_an_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home = tmp_path / "home"
    home.write_text("a file stands where the folder should be")
    assert len(corpus_index(home, BOOK)) > 100
    assert "cannot be written" in caplog.text


def test_a_file_of_tunes_is_compared_tune_by_tune(index: NoveltyIndex, tmp_path: Path) -> None:
    path = tmp_path / "mine.abc"
    new = "|:A2 B4 z2|F2 E6|z2 C2 A4|d4 B4:|\n"
    path.write_text(
        f"{HEAD.format('Mine')}{new}\n{HEAD.format('Borrowed')}{REEL}\n{HEAD.format('Short')}D8|]\n"
    )
    mine, borrowed, short = compare_file(index, path)
    assert (mine["title"], mine["line"], mine["copy"]) == ("Mine", 1, False)
    assert (borrowed["copy"], borrowed["nearest"]["tune_id"]) == (True, "reel")
    assert borrowed["nearest"]["longest_passage"]["line"] == 13
    assert short["error"].startswith("the tune has 1 notes")
    assert describe(borrowed).startswith(
        "Borrowed (line 8): a copy of The reel (reel): similarity 1.00, 100% of the bars\n"
    )
    assert describe(mine).startswith("Mine (line 1): new; ")
    assert describe(short).startswith("Short (line 18): the tune has 1 notes")
    path.write_text("nothing\n")
    with pytest.raises(NoveltyError, match=r"^.*mine\.abc:1:1: "):
        compare_file(index, path)


def test_a_melody_counts_time_in_bars_and_rests_lengthen_the_note_before() -> None:
    melody = Melody.of(parse_tune("X:1\nM:6/8\nL:1/8\nK:G\nd|G3 z2 A|B6|]\n"))
    assert melody.pitches.tolist() == [74, 67, 69, 71]
    assert melody.waits.tolist() == [BAR // 6, 5 * BAR // 6, BAR // 6, 0]
    assert melody.bars.tolist() == [1, 2, 2, 3]
    assert melody.places.tolist() == [0, 0, 5 * BAR // 6, 0]

"""Tunes that were played and kept: they outlive the app."""

import json
import logging
import threading

import pytest

from ui.library import Library, LibraryError, StoredTune, tune_id


def tune(number: int) -> StoredTune:
    abc = f"X:1\nT:Tune {number}\nM:4/4\nL:1/8\nK:D\nABcd efga|\n"
    return StoredTune(
        tune_id(abc), abc, "base", number, {"rhythm": "reel"}, "2026-11-23T12:00:00+00:00"
    )


def test_a_tune_is_found_again_after_a_restart(tmp_path):
    library = Library(tmp_path)
    for number in range(3):
        library.add(tune(number))
    again = Library(tmp_path)
    assert len(again) == 3
    assert again.get(tune(1).id) == tune(1)
    assert again.get("unheard-of") is None


def test_the_file_holds_one_tune_a_line_with_the_agreed_fields(tmp_path):
    Library(tmp_path).add(tune(0))
    (line,) = (tmp_path / "tunes.jsonl").read_text(encoding="utf-8").splitlines()
    assert list(json.loads(line)) == ["id", "abc", "model", "seed", "options", "created"]


def test_the_same_tune_is_stored_once(tmp_path):
    library = Library(tmp_path)
    library.add(tune(0))
    library.add(tune(0))
    assert len((tmp_path / "tunes.jsonl").read_text(encoding="utf-8").splitlines()) == 1


def test_the_latest_press_of_the_heart_counts_and_outlives_a_restart(tmp_path):
    library = Library(tmp_path)
    for number in range(3):
        library.add(tune(number))
        library.keep(tune(number).id)
    library.keep(tune(1).id, kept=False)
    library.keep(tune(0).id, kept=False)
    library.keep(tune(0).id)
    for each in (library, Library(tmp_path)):
        assert [kept.seed for kept in each.kept()] == [0, 2]
        assert each.is_kept(tune(0).id) and not each.is_kept(tune(1).id)


def test_a_tune_that_is_not_in_the_library_cannot_be_kept(tmp_path):
    with pytest.raises(KeyError):
        Library(tmp_path).keep("unheard-of")


def test_lines_that_cannot_be_read_are_left_out_and_logged_with_their_number(tmp_path, caplog):
    library = Library(tmp_path)
    library.add(tune(0))
    with (tmp_path / "tunes.jsonl").open("a", encoding="utf-8") as file:
        file.write('not json\n{"id": "x"}\n\n')
    library.add(tune(1))
    with caplog.at_level(logging.WARNING, "musicgen"):
        again = Library(tmp_path)
    assert len(again) == 2 and again.get(tune(1).id) == tune(1)
    assert [r.getMessage().split(": ", 1)[1] for r in caplog.records] == [
        "not a line of the library, left out"
    ] * 2
    assert "tunes.jsonl:2" in caplog.text and "tunes.jsonl:3" in caplog.text


def test_a_line_cut_short_by_a_crash_does_not_swallow_the_next_one(tmp_path):
    Library(tmp_path).add(tune(0))
    path = tmp_path / "tunes.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    library = Library(tmp_path)
    library.add(tune(1))
    assert Library(tmp_path).get(tune(1).id) == tune(1)


def test_many_threads_may_add_at_once(tmp_path):
    library = Library(tmp_path)
    threads = [
        threading.Thread(
            target=lambda first=first: [library.add(tune(first + n)) for n in range(25)]
        )
        for first in (0, 25, 50, 75)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Library(tmp_path)) == 100
    assert all(library.get(tune(number).id) == tune(number) for number in range(100))


def test_a_home_that_cannot_be_made_is_one_line_with_what_to_do(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LibraryError) as refused:
        Library(tmp_path / "file" / "library")
    assert str(refused.value).endswith("choose another with --home")
    assert "\n" not in str(refused.value)

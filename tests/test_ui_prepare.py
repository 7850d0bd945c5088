"""Tunes are written ahead of time, by one thread, for whoever asks."""

import json
import logging
import random
import threading
import time

import pytest
from fake_source import BookSource

from ui.choices import Choices
from ui.library import Library, StoredTune
from ui.prepare import SHELVES, Preparer
from ui.source import NoModel, SourceError

JIGS = Choices(rhythm="jig")


@pytest.fixture
def preparer_of(tmp_path):
    """Makes preparers over one home; they are stopped after the test."""
    made = []

    def make(source, *, start=True, **options):
        library = Library(tmp_path / "library")
        preparer = Preparer(source, library, seeds=random.Random(1), **options)
        made.append((preparer, source))
        if start:
            preparer.start()
        return preparer

    yield make
    for preparer, source in made:
        source.gate.set()
        preparer.stop()


def wait_until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.005)


def test_tunes_are_ready_before_anybody_asks_and_no_more_than_agreed(preparer_of):
    source = BookSource()
    preparer = preparer_of(source, ahead=3)
    wait_until(lambda: preparer.waiting_for(Choices()) == 3)
    time.sleep(0.1)
    assert len(source.calls) == 3


def test_a_ready_tune_is_handed_out_without_waiting_for_the_source(preparer_of):
    source = BookSource()
    preparer = preparer_of(source, ahead=2)
    wait_until(lambda: preparer.waiting_for(Choices()) == 2)
    source.gate.clear()  # the model hangs
    assert preparer.next(Choices(), timeout_seconds=0).id != preparer.next(Choices(), 0).id


def test_a_handed_out_tune_is_in_the_library_with_its_seed_model_and_choices(preparer_of):
    source = BookSource()
    preparer = preparer_of(source)
    tune = preparer.next(JIGS)
    assert preparer.library.get(tune.id) == tune
    assert (tune.model, tune.options) == ("book", {"rhythm": "jig"})
    assert (JIGS, tune.seed) in source.calls
    assert "R:jig" in tune.abc


def test_tunes_do_not_come_twice(preparer_of):
    preparer = preparer_of(BookSource())
    ids = [preparer.next(Choices()).id for _ in range(12)]
    assert len(set(ids)) == 12


def test_who_waits_goes_before_the_shelves_and_the_latest_wish_first(preparer_of):
    source = BookSource(held=True)
    preparer = preparer_of(source, ahead=5)
    wait_until(lambda: len(source.calls) == 1)  # it began to fill the default shelf
    early, late = Choices(rhythm="waltz"), Choices(rhythm="polka")
    threads = [threading.Thread(target=preparer.next, args=(wish,)) for wish in (early, late)]
    for number, thread in enumerate(threads, start=1):
        thread.start()
        wait_until(lambda number=number: len(preparer._wishes) == number)
    source.gate.set()
    for thread in threads:
        thread.join()
    assert [choices for choices, _ in source.calls[:3]] == [Choices(), late, early]


def test_a_locked_seed_brings_the_same_tune_each_time_and_is_written_once(preparer_of):
    source = BookSource()
    preparer = preparer_of(source, ahead=1)
    locked = Choices(rhythm="reel", seed=4711)
    first, second = preparer.next(locked), preparer.next(locked)
    assert first == second and first.seed == 4711
    assert source.calls.count((locked, 4711)) == 1
    assert preparer.next(Choices(rhythm="jig", seed=4711)).abc != first.abc


def test_only_the_choices_used_lately_keep_a_shelf(preparer_of):
    preparer = preparer_of(BookSource(), ahead=1)
    for number in range(SHELVES + 3):
        preparer.next(Choices(temperature=0.5 + number / 100))
    assert len(preparer._shelves) == SHELVES


def test_a_source_without_tunes_is_reported_at_once_and_asked_again_when_it_may_have_some(
    preparer_of,
):
    source = BookSource()
    source.error = NoModel("There is no model.")
    preparer = preparer_of(source)
    with pytest.raises(SourceError, match="There is no model"):
        preparer.next(Choices())
    calls = len(source.calls)
    time.sleep(0.1)
    assert len(source.calls) == calls, "it went on asking a source that has no model"
    source.error = None
    assert preparer.next(Choices()).model == "book"


def test_a_missing_model_is_known_before_anybody_asks_even_with_tunes_on_the_shelf(preparer_of):
    source = BookSource()
    source.error = NoModel("There is no model.")
    bundled = [StoredTune(str(n), "X:1\nK:D\nA|", "book", n) for n in range(5)]
    preparer = preparer_of(source, bundled=bundled)
    wait_until(lambda: preparer.fault is not None)
    assert preparer.fault == "There is no model."
    assert preparer.next(Choices()).id == "0"


def test_choices_that_bring_nothing_do_not_stop_the_others(preparer_of):
    source = BookSource()
    preparer = preparer_of(source, ahead=1)
    source.error = SourceError("No sound tune came of these choices.")
    with pytest.raises(SourceError, match="No sound tune"):
        preparer.next(JIGS)
    source.error = None
    assert preparer.next(Choices()).model == "book"


def test_a_fault_inside_the_source_is_logged_and_the_music_goes_on(preparer_of, caplog):
    class Stumbling(BookSource):
        def write(self, choices, seed):
            if choices == JIGS:
                raise ZeroDivisionError("deep inside")
            return super().write(choices, seed)

    preparer = preparer_of(Stumbling())
    with caplog.at_level(logging.ERROR, "musicgen"), pytest.raises(SourceError, match="try others"):
        preparer.next(JIGS)
    assert "deep inside" in caplog.text
    assert preparer.next(Choices()).model == "book"


def test_a_source_that_fails_to_load_is_asked_all_the_same(preparer_of, caplog):
    class Unloadable(BookSource):
        def load(self):
            raise ZeroDivisionError("deep inside")

    assert preparer_of(Unloadable()).next(Choices()).model == "book"
    assert "deep inside" in caplog.text


def test_a_wish_that_is_not_met_in_time_is_told_so_and_does_not_stay_in_line(preparer_of):
    preparer = preparer_of(BookSource(held=True))
    with pytest.raises(SourceError, match="in time"):
        preparer.next(JIGS, timeout_seconds=0.05)
    assert preparer._wishes == []


def test_ready_tunes_survive_a_restart(preparer_of, tmp_path):
    ready = tmp_path / "ready.jsonl"
    before = preparer_of(BookSource(), ahead=3, ready_file=ready)
    wait_until(lambda: before.waiting_for(Choices()) == 3)
    before.stop()
    after = preparer_of(BookSource(held=True), ready_file=ready)
    tunes = [after.next(Choices(), timeout_seconds=0) for _ in range(3)]
    assert len({tune.id for tune in tunes}) == 3
    assert len(ready.read_text(encoding="utf-8").splitlines()) == 0, "they would come again"


def test_ready_tunes_of_another_model_and_a_damaged_file_are_left_aside(preparer_of, tmp_path):
    ready = tmp_path / "ready.jsonl"
    other = {
        "id": "x",
        "abc": "X:1\nK:C\n",
        "model": "other",
        "seed": 1,
        "options": {},
        "created": "",
    }
    ready.write_text(json.dumps(other) + "\n")
    assert preparer_of(BookSource(), start=False, ready_file=ready).waiting_for(Choices()) == 0
    ready.write_text("{damaged")
    assert preparer_of(BookSource(), start=False, ready_file=ready).waiting_for(Choices()) == 0


def test_bundled_tunes_serve_the_very_first_visit_only_with_their_own_model(preparer_of):
    def bundled(model):
        return [StoredTune("first", "X:1\nK:D\nA|", model, 1)]

    source = BookSource(held=True)
    assert preparer_of(source, bundled=bundled("book")).next(Choices(), 0).id == "first"
    assert preparer_of(source, start=False, bundled=bundled("base")).waiting_for(Choices()) == 0


def test_prepared_tunes_are_rendered_ahead_and_a_failing_renderer_does_no_harm(preparer_of):
    rendered = []

    def render(tune):
        rendered.append(tune.id)
        raise OSError("no sound library")

    preparer = preparer_of(BookSource(), ahead=2, render=render)
    wait_until(lambda: len(rendered) == 2)
    assert preparer.next(Choices()).id == rendered[0]

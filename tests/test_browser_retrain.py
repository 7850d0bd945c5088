"""The Retrain page in a real browser: one button, what is happening, and the model to try."""

import sys
from pathlib import Path

import pytest
from fake_pairs import BookPairs
from fake_source import BookSource
from served_app import CHROMIUM_OPTIONS, served
from test_prefs_retrain import printed_tunes, voted_home

from musicgen.promoted import promoted_model
from prefs.jobs import Jobs
from prefs.records import Vote
from ui.app import make_desk, make_jukebox
from ui.retrain import Workshop, retrain_command

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
FAKE = Path(__file__).parent / "fake_retrain.py"


SMALL = ("--pool", "112", "--method", "best-of-n")  # a real run, as short as one can be


def pretended(home):
    """The command of a run that learns nothing but takes every step."""
    return lambda name: [sys.executable, str(FAKE), name, str(home), "waits"]


@pytest.fixture
def app(tmp_path, chromium, request):
    """(page, home, store): an app whose runs pretend, or with the parameter "real" learn."""
    jukebox = make_jukebox(tmp_path, BookSource())
    desk = make_desk(tmp_path, BookPairs(), jukebox.playback)
    real = getattr(request, "param", "") == "real"
    jobs = Jobs(tmp_path, retrain_command(tmp_path, *SMALL) if real else pretended(tmp_path))
    shop = Workshop(desk.store, jobs, tmp_path)
    faults = []
    with (
        served(tmp_path, jukebox, desk, shop) as url,
        playwright_api.sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.on("console", lambda m: m.type in ("error", "warning") and faults.append(m.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"{url}/retrain")
        page.wait_for_selector(".retrain[data-state=idle]")
        yield page, tmp_path, desk.store()
        browser.close()
    for child in jobs._children.values():
        child.kill()
        child.wait()
    assert faults == []


def add_votes(store, count):
    source = BookPairs()
    for _ in range(count):
        new = source.learning_pair()
        store.add_tunes([new.first, new.second])
        store.add_pairs([new.pair])
        store.cast(Vote(new.pair.id, "first", "simulated"))


def test_from_the_first_votes_to_a_promoted_model_and_back(app):
    page, home, store = app
    assert "20 more votes" in page.inner_text(".start-note")
    assert page.get_attribute(".to-rate", "href") == "/rate" and page.is_visible(".to-rate")
    assert not page.is_visible(".start")

    add_votes(store, 40)
    page.wait_for_selector(".start:has-text('Retrain from 40 votes')")
    page.click(".start")
    page.wait_for_selector(".retrain[data-state=running]")
    assert page.inner_text(".job-title") == "tuned-1: at work"
    assert not page.is_visible(".start"), "one at a time"
    page.click(".pause")
    page.wait_for_selector(".retrain[data-state=paused]")
    page.click(".go-on")
    page.wait_for_selector(".retrain[data-state=running]")
    (home / "go").touch()

    page.wait_for_selector(".trial")
    assert page.inner_text(".trial-title") == "tuned-1 against base, blind"
    assert "Not yet known" in page.inner_text(".trial-verdict")
    assert "71%" in page.inner_text(".learned")
    page.wait_for_selector(".follows li")
    assert "notes a bar" in page.inner_text(".follows li:first-child")
    assert page.get_attribute(".trial", "href") == "/rate?trial=1"
    page.click(".promote-new")
    page.wait_for_selector(".models li:first-child .playing")
    assert promoted_model(home) == "tuned-1"
    assert page.inner_text(".trial-title") == "tuned-1 plays now"
    page.click(".go-back")
    page.wait_for_selector(".models li:last-child .playing")
    assert promoted_model(home) == "base"


def test_curves_stand_with_their_guards_and_two_tunes_can_be_heard(app):
    page, home, store = app
    add_votes(store, 40)
    (home / "go").write_text("slowly")
    page.click(".start")
    page.wait_for_selector(".curve-kl .guard", state="attached")  # a line has no height
    page.wait_for_selector(".listening .side-tuned figcaption:text-is('the model as it is now')")
    assert len(page.query_selector_all(".curve svg polyline")) == 5
    assert "base model 0.0; round 1 4.0. The guard stands at 20.0" in page.text_content(
        ".curve-kl .unseen"
    )
    assert "guard: at most 20" in page.text_content(".curve-kl svg")
    page.click(".side-tuned .play")
    page.wait_for_selector(".side-tuned .transport.playing")
    page.click(".side-base .play")
    page.wait_for_selector(".side-base .transport.playing")
    assert not page.query_selector(".side-tuned .transport.playing"), "one sounds at a time"
    page.click(".side-base .play")
    (home / "on").touch()
    page.wait_for_selector(".report .score-at .best-bar", state="attached")
    assert page.query_selector_all(".report .score-at .worst-bar")
    assert "Best bars: 1, 3, 6." in page.inner_text(".told-bars >> nth=0")


def test_cancelling_asks_once_and_what_was_done_is_kept(app):
    page, home, store = app
    add_votes(store, 40)
    page.click(".start")
    page.wait_for_selector(".retrain[data-state=running]")
    page.click(".cancel")
    assert "Press again" in page.inner_text(".cancel")
    assert page.get_attribute(".retrain", "data-state") == "running"
    page.click(".cancel")
    page.wait_for_selector(".go-on:not([hidden])")
    assert page.inner_text(".job-title") == "tuned-1: cancelled"
    (home / "go").touch()
    page.click(".go-on")
    page.wait_for_selector(".trial")


@pytest.mark.long
@pytest.mark.parametrize("app", ["real"], indirect=True)
def test_forty_simulated_votes_become_a_model_that_is_tried_promoted_and_undone(app):
    page, home, store = app
    printed = printed_tunes()
    voted_home(home, printed, 40)
    page.wait_for_selector(".start:has-text('Retrain from 40 votes')")
    page.click(".start")
    page.wait_for_selector(".retrain[data-state=running]")
    page.wait_for_selector(".trial-box:not([hidden])", timeout=1_200_000)
    page.wait_for_selector(".follows li")
    page.wait_for_selector(".listening .side-tuned .transport:not(.waiting)")
    assert page.query_selector(".told .best-bar") and page.query_selector(".curve-kl .guard")

    rivals = BookPairs(("tuned-1", "base"))
    for _ in range(40):  # the simulated rater hears which is which and likes the new one
        new = rivals.evaluation_pair()
        store.add_tunes([new.first, new.second])
        store.add_pairs([new.pair])
        liked = "first" if new.first.model == "tuned-1" else "second"
        store.cast(Vote(new.pair.id, liked, "simulated"))
    page.wait_for_selector(".trial-verdict:has-text('tuned-1 is better than base.')")
    page.click(".promote-new")
    page.wait_for_selector(".trial-title:has-text('tuned-1 plays now')")
    assert promoted_model(home) == "tuned-1"
    page.click(".go-back")
    page.wait_for_selector(".models li[data-name=base] .playing")
    assert promoted_model(home) == "base"

"""The Rate page in a real browser: blind, one key a vote, and no vote lost."""

import random
from types import SimpleNamespace

import pytest
from fake_pairs import BookPairs
from fake_source import BookSource
from served_app import CHROMIUM_OPTIONS, served

from prefs.store import Store, StoreError
from ui.app import make_desk, make_jukebox
from ui.assets import abcjs_fault

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

# Browser, server and Gradio leave sockets and loops to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

PATIENCE_MS = 30_000
KEYS = {"first": "1", "second": "2", "tie": "3", "skip": "s"}
PAGE = "musicgen.ratePage"
# Spares the tests the four seconds of listening to each side; one test listens in earnest.
HEARD = f"() => {{ for (const side of {PAGE}.sides) side.heard = 5000; {PAGE}.openVote(); }}"
SHOWN = f"() => ({{id: {PAGE}.pair.pair_id, sides: {PAGE}.pair.sides.map(side => side.abc)}})"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The app with pairs that need no model: `url`, `desk`."""
    if fault := abcjs_fault():
        pytest.skip(f"{fault}: run ./run assets")
    home = tmp_path_factory.mktemp("home")
    jukebox = make_jukebox(home, BookSource())
    desk = make_desk(home, BookPairs(("base", "tuned")), jukebox.playback)
    with served(home, jukebox, desk) as url:
        yield SimpleNamespace(url=url, desk=desk)


@pytest.fixture(scope="module")
def browser(chromium):
    with playwright_api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS)


@pytest.fixture
def context(browser, server):
    """A fresh profile, and so a rater of its own; no request leaves the machine."""
    outside = []
    local = (server.url, "blob:", "data:")
    context = browser.new_context(color_scheme="light")
    context.set_default_timeout(PATIENCE_MS)
    context.on("request", lambda r: r.url.startswith(local) or outside.append(r.url))
    yield context
    context.close()
    assert outside == []


def open_page(context, server, query="", width=1440, height=900):
    page = context.new_page()
    page.faults = []
    page.set_viewport_size({"width": width, "height": height})
    page.on("console", lambda m: m.type in ("error", "warning") and page.faults.append(m.text))
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.goto(f"{server.url}/rate{query}")
    page.wait_for_selector(".rate[data-state=first]")
    return page


def start(page):
    page.keyboard.press(" ")
    page.wait_for_function(f"{PAGE}.sides[0].player.playing")


def vote(page, key):
    """Press a key of the ballot and wait until the next pair is there."""
    before = page.evaluate(SHOWN)
    page.evaluate(HEARD)
    page.keyboard.press(key)
    page.wait_for_function(f"id => {PAGE}.pair && {PAGE}.pair.pair_id !== id", arg=before["id"])
    return before


def all_saved(page):
    page.wait_for_function(f"{PAGE}.ballot.pending.length === 0")


def rater(page):
    return page.input_value(".rater")


def test_twenty_pairs_by_keyboard_are_twenty_votes_on_the_right_sides(context, server):
    page = open_page(context, server)
    start(page)
    rng = random.Random(5)
    said = {}
    for number in range(20):
        choice = rng.choice(["first", "second", "tie"])
        shown = vote(page, KEYS[choice])
        said[shown["id"]] = (choice, shown["sides"])
        assert page.evaluate(f"{PAGE}.resting") == (number == 19)
    all_saved(page)
    assert page.inner_text(".counter").startswith("20 votes")
    store = server.desk.store()
    votes = store.votes(rater(page))
    assert len(votes) == 20
    for cast in votes:
        choice, sides = said[cast.pair_id]
        assert cast.choice == choice and min(cast.listened_ms) >= 5000
        pair = store.pair(cast.pair_id)
        for text, tune in zip(sides, store.tunes([pair.first, pair.second]), strict=True):
            # the page sees the same music without its title
            assert text.split("K:")[1] == tune.abc.split("K:")[1]
            assert "T:" in tune.abc and "T:" not in text
    # after twenty a rest is offered, and the music goes on when the rater does
    page.wait_for_function("document.querySelector('.rest-taught').textContent.trim()")
    assert page.inner_text(".rest-taught").startswith(("So far you lean", "Nothing is sure yet"))
    assert page.is_visible(".rest") and not page.evaluate(f"{PAGE}.sides[0].player.playing")
    page.keyboard.press(" ")
    page.wait_for_function(f"{PAGE}.sides[0].player.playing")
    assert page.faults == []
    page.close()


def test_voting_opens_when_both_were_heard_and_not_before(context, server):
    page = open_page(context, server)
    start(page)
    ballot = page.query_selector(".ballot").bounding_box()
    page.keyboard.press("1")
    assert "four seconds" in page.inner_text(".notice")
    assert page.query_selector(".ballot").bounding_box() == ballot, "nothing jumps"
    assert page.get_attribute(".vote", "aria-disabled") == "true"
    page.wait_for_function(f"{PAGE}.sides[0].heard > 4000")
    assert not page.evaluate(f"{PAGE}.mayVote")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"{PAGE}.sides[1].player.playing")
    assert not page.evaluate(f"{PAGE}.sides[0].player.playing"), "one side at a time"
    # the same place in the music
    places = page.evaluate(f"{PAGE}.sides.map(side => side.place)")
    assert abs(places[0] - places[1]) < 0.5
    page.wait_for_selector(".page.open")
    assert page.evaluate(f"{PAGE}.sides[1].heard") >= 4000
    assert page.inner_text(".notice") == ""
    assert page.get_attribute(".vote", "aria-disabled") == "false"
    page.close()


def test_the_second_side_follows_the_excerpt_of_the_first(context, server):
    page = open_page(context, server)
    start(page)
    page.evaluate(f"{PAGE}.sides[0].heard = 4000")
    page.evaluate(f"{PAGE}.sides[0].seek({PAGE}.pair.sides[0].until_ms / 1000 - 0.3)")
    page.wait_for_function(f"{PAGE}.sides[1].player.playing")
    at = page.evaluate(f"{PAGE}.sides[1].place")
    assert -0.05 < at < 1.0, "from where the two part"
    page.keyboard.press("ArrowLeft")  # the excerpt does not stop it a second time
    page.evaluate(f"{PAGE}.sides[0].seek({PAGE}.pair.sides[0].until_ms / 1000 + 0.1)")
    page.wait_for_timeout(300)
    assert page.evaluate(f"{PAGE}.sides[0].player.playing")
    page.click(".whole")
    page.wait_for_function(f"{PAGE}.sides[0].player.playing && {PAGE}.sides[0].player.time < 1")
    page.close()


def test_nothing_that_reaches_the_browser_before_the_vote_tells_the_models_apart(context, server):
    page = context.new_page()
    heard = []
    page.on("response", lambda r: "/api/" in r.url and heard.append(r))
    page.goto(f"{server.url}/rate?trial=1")
    page.wait_for_selector(".rate[data-state=first]")
    store = server.desk.store()
    checked = 0
    for _ in range(6):
        shown = page.evaluate(f"{PAGE}.pair")
        pair = store.pair(shown["pair_id"])
        tunes = store.tunes([pair.first, pair.second])
        assert {tune.model for tune in tunes} == {"base", "tuned"}
        for answer in heard:
            told = answer.url + str(sorted(answer.headers.items()))
            if "audio" not in answer.headers.get("content-type", ""):
                told += answer.text()
            assert not {"etag", "last-modified", "content-disposition"} & {*answer.headers}
            for secret in (
                "tuned",
                'base"',
                "T:",
                "evaluation",
                "seed",
                "created",
                *(part for tune in tunes for part in (tune.id, tune.created)),
            ):
                assert secret not in told, (secret, answer.url)
            checked += 1
        one, two = shown["sides"]
        assert set(one) == set(two)
        assert one["abc"].split("K:")[0] == two["abc"].split("K:")[0]
        heard.clear()
        page.evaluate(f"{PAGE}.begin()")
        vote(page, "2")
    assert checked >= 12
    page.close()


def test_undo_brings_the_pair_back_and_takes_the_vote_away(context, server):
    page = open_page(context, server)
    start(page)
    first = vote(page, "1")
    second = page.evaluate(SHOWN)
    all_saved(page)
    page.keyboard.press("u")
    page.wait_for_function("document.querySelector('.saved').textContent.startsWith('Taken back')")
    assert page.evaluate(SHOWN) == first
    assert server.desk.store().votes(rater(page)) == []
    vote(page, "2")
    all_saved(page)
    assert page.evaluate(SHOWN) == second, "the pair that was on the page comes next again"
    (cast,) = server.desk.store().votes(rater(page))
    assert (cast.pair_id, cast.choice) == (first["id"], "second")
    page.close()


def test_a_vote_that_cannot_be_saved_is_kept_said_so_and_saved_later(context, server, monkeypatch):
    page = open_page(context, server)
    start(page)
    real = Store.cast

    def full(*_args, **_more):
        raise StoreError("the disk is full: make room")

    monkeypatch.setattr(Store, "cast", full)
    shown = vote(page, "1")
    page.wait_for_selector(".notice:not([hidden])")
    assert page.inner_text(".notice") == (
        "Your vote is not saved yet. The disk is full: make room. It stays here and is tried again."
    )
    assert page.inner_text(".saved") == ""
    # not even closing the page loses it
    name = rater(page)
    page.reload()
    page.wait_for_selector(".rate[data-state=first]")
    page.wait_for_selector(".notice:not([hidden])")
    assert server.desk.store().votes(name) == []
    monkeypatch.setattr(Store, "cast", real)
    all_saved(page)
    (cast,) = server.desk.store().votes(name)
    assert (cast.pair_id, cast.choice) == (shown["id"], "first")
    page.wait_for_selector(".notice", state="hidden")
    assert page.inner_text(".counter").startswith("1 vote")
    page.close()


def test_on_a_phone_nothing_moves_when_a_vote_cannot_be_saved(context, server, monkeypatch):
    page = open_page(context, server, width=390, height=844)
    page.click(".begin")
    page.wait_for_function(f"{PAGE}.sides[0].player.playing")
    page.evaluate(HEARD)
    real = Store.cast

    def locked(*_args, **_more):
        raise StoreError("the database is locked by another program: close it, or wait")

    def height_of_the_ballot():
        return page.evaluate("document.querySelector('.vote').getBoundingClientRect().top")

    before = height_of_the_ballot()
    monkeypatch.setattr(Store, "cast", locked)
    vote(page, "1")
    page.wait_for_selector(".notice:not([hidden])")
    assert height_of_the_ballot() == before
    monkeypatch.setattr(Store, "cast", real)
    all_saved(page)
    page.close()


def test_a_wild_typist_casts_one_vote_a_pair(context, server):
    page = open_page(context, server)
    start(page)
    page.evaluate(HEARD)
    for key in "1113322":
        page.keyboard.press(key)
    page.wait_for_timeout(300)
    all_saved(page)
    assert len(server.desk.store().votes(rater(page))) == 1
    page.close()


def test_skip_needs_no_listening_and_counts_no_vote(context, server):
    page = open_page(context, server)
    start(page)
    before = page.evaluate(SHOWN)["id"]
    page.keyboard.press("s")
    page.wait_for_function(f"id => {PAGE}.pair && {PAGE}.pair.pair_id !== id", arg=before)
    all_saved(page)
    (cast,) = server.desk.store().votes(rater(page))
    assert cast.choice == "skip" and page.inner_text(".counter").startswith("0 votes")
    page.close()


def test_who_wrote_a_pair_is_told_when_asked_after_the_vote(context, server):
    page = open_page(context, server, "?trial=1")
    assert not page.is_visible(".reveal")
    start(page)
    vote(page, "1")
    page.click(".reveal")
    page.wait_for_function("document.querySelector('.reveal').textContent.includes('tuned')")
    assert "base" in page.inner_text(".reveal")
    page.close()


def test_the_results_page_shows_a_verdict_a_picture_and_tunes_to_listen_to(context, server):
    page = open_page(context, server, "?trial=1")
    start(page)
    for key in "121":
        vote(page, key)
    all_saved(page)
    page.goto(f"{server.url}/results")
    page.wait_for_selector(".results[data-state=shown]")
    assert "blind pairs" in page.inner_text(".verdict")
    assert "between" in page.get_attribute(".win-rate svg", "aria-label")
    assert page.is_visible(".win-rate svg") and not page.is_visible(".to-rate")
    assert len(page.query_selector_all(".board li svg")) == 2
    page.click(".best a")
    page.wait_for_selector(".listen[data-state=first]")
    assert page.inner_text(".start") == "Play this tune"
    assert page.faults == []
    page.close()


def test_another_instrument_sounds_on_both_sides_from_the_same_place(context, server):
    page = open_page(context, server)
    start(page)
    page.wait_for_function(f"{PAGE}.sides[0].place > 0.5")
    page.select_option(".instrument", "harp")
    page.wait_for_function(f"{PAGE}.sides[1].player.tune.audio_url.includes('harp')")
    page.wait_for_function(f"{PAGE}.sides[0].player.playing")
    assert page.evaluate(f"{PAGE}.sides[0].place") > 0.4
    assert "harp" in page.evaluate(f"{PAGE}.sides[0].player.tune.audio_url")
    before = page.evaluate(SHOWN)["id"]
    page.keyboard.press("s")
    page.wait_for_function(f"id => {PAGE}.pair && {PAGE}.pair.pair_id !== id", arg=before)
    assert "harp" in page.evaluate(f"{PAGE}.pair.sides[0].audio_url"), "those that follow too"
    page.close()


def test_on_a_phone_both_scores_and_the_ballot_are_in_view(context, server):
    page = open_page(context, server, width=390, height=844)
    start(page)
    for name in (".side.first .play", ".side.second .play", ".ballot", ".skip"):
        box = page.query_selector(name).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390, name
        assert box["y"] >= 0 and box["y"] + box["height"] <= 844, name
    vote_box = page.query_selector(".vote").bounding_box()
    assert vote_box["height"] >= 44, "a thumb needs room"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for width in (390, 320):
        page.set_viewport_size({"width": width, "height": 844})
        page.evaluate(f"{PAGE}.notify('')")
        ballot = page.query_selector(".ballot").bounding_box()
        page.keyboard.press("1")
        assert "four seconds" in page.inner_text(".notice")
        assert page.query_selector(".ballot").bounding_box() == ballot, "nothing jumps"
    page.click(".scores")
    assert not page.is_visible(".score-at")
    page.close()

"""The Listen page in a real browser: one press, sound, a score that follows it, and no way out."""

from types import SimpleNamespace

import pytest
from fake_pairs import BookPairs
from fake_source import BookSource
from served_app import CHROMIUM_OPTIONS, served

from abc_tools.audio import AudioError
from ui.app import make_desk, make_jukebox
from ui.assets import abcjs_fault
from ui.source import NoModel

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

# Browser, server and Gradio leave sockets and loops to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

PATIENCE_MS = 30_000
LIGHT_PAPER, DARK_PAPER = "rgb(251, 248, 241)", "rgb(25, 22, 19)"
ACCENT = "rgb(166, 61, 47)"
BUTTON_COLOURS = """(({{backgroundColor, color}}) => [backgroundColor, color])(
  getComputedStyle(document.querySelector("{}")))"""
PAPER = "getComputedStyle(document.body).backgroundColor"
RECTANGLE = "document.querySelector('.score-at').getBoundingClientRect().toJSON()"

# What the player knows; `lit` are the text offsets of the lit notes.
STATE = """() => {
  const {player, queue} = musicgen.listenPage;
  return {time: player.time, playing: player.playing, id: player.tune?.id,
          lit: player.score.lit.map(note => note.start),
          accent: document.querySelectorAll(".score .sounding").length,
          notes: player.score.notes.length, upcoming: queue.upcoming.map(e => e.tune.id)};
}"""
LIT_IN_THIS_FRAME = """() => new Promise(done => requestAnimationFrame(() => {
  const {player} = musicgen.listenPage;
  const before = player.time;
  player.frame();
  done([before, player.time, player.score.lit.map(note => [note.start, note.end])]);
}))"""
LAYOUT_SHIFT = """() => new Promise(done => {
  new PerformanceObserver(list => done(list.getEntries()
    .filter(entry => !entry.hadRecentInput).reduce((sum, entry) => sum + entry.value, 0)))
    .observe({type: "layout-shift", buffered: true});
  setTimeout(() => done(0), 300);
})"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The app with a source that needs no model: `url`, `source`, `jukebox`."""
    if fault := abcjs_fault():
        pytest.skip(f"{fault}: run ./run assets")
    source = BookSource()
    home = tmp_path_factory.mktemp("home")
    jukebox = make_jukebox(home, source)
    with served(home, jukebox, make_desk(home, BookPairs(), jukebox.playback)) as url:
        yield SimpleNamespace(url=url, source=source, jukebox=jukebox)


@pytest.fixture(scope="module")
def context(chromium, server):
    """A fresh profile; at the end no request has left the machine."""
    outside = []
    local = (server.url, "blob:", "data:")
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS)
        context = browser.new_context(color_scheme="light")
        context.set_default_timeout(PATIENCE_MS)
        context.on("request", lambda r: r.url.startswith(local) or outside.append(r.url))
        yield context
        browser.close()
    assert outside == []


def new_page(context, address, state="first"):
    """A page with its faults in `page.faults`."""
    page = context.new_page()
    page.faults = []
    page.set_viewport_size({"width": 1440, "height": 900})
    page.on("console", lambda m: m.type in ("error", "warning") and page.faults.append(m.text))
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.goto(address)
    if state:
        page.wait_for_selector(f".listen[data-state={state}]")
    return page


@pytest.fixture(scope="module")
def started(context, server):
    """One page, loaded and started once for many tests."""
    page = new_page(context, server.url)
    page.click(".start")
    page.wait_for_function("musicgen.listenPage.player.time > 0.05")
    return page


@pytest.fixture
def page(started):
    """The started page with a new tune that plays and no choices made; no errors afterwards."""
    started.bring_to_front()
    before = started.evaluate(STATE)["id"]
    started.evaluate("musicgen.listenPage.choices.clear()")
    started.evaluate("musicgen.listenPage.showView('tune')")
    started.wait_for_function("musicgen.listenPage.queue.upcoming.length > 0")
    started.evaluate("musicgen.listenPage.next()")
    started.wait_for_function(
        "id => musicgen.listenPage.player.tune.id !== id && musicgen.listenPage.player.time > 0.02",
        arg=before,
    )
    yield started
    faults, started.faults[:] = list(started.faults), []
    assert faults == []


def sounding_offsets(payload, begin_s, end_s):
    """Text offsets of the notes that sound between two times."""
    onsets = payload["onsets_ms"]
    first, last = (
        max(n for n, onset in enumerate(onsets) if onset <= seconds * 1000)
        for seconds in (begin_s, end_s)
    )
    return [payload["spans"][index][0] for index in range(first, last + 1)]


def test_one_press_and_a_tune_sounds_with_a_score_that_follows_it(context, server):
    page = new_page(context, server.url)
    # Before the press: one button over a real score, and silence.
    page.wait_for_function("musicgen.listenPage.player.score.notes.length > 20")
    before, rectangle = page.evaluate(STATE), page.evaluate(RECTANGLE)
    assert before["time"] == 0 and not before["playing"] and before["accent"] == 0
    visible = [button for button in page.query_selector_all("button") if button.is_visible()]
    assert [b.inner_text() for b in visible] == ["", "Start listening"]  # first: light or dark
    assert page.evaluate(BUTTON_COLOURS.format(".start")) == [ACCENT, LIGHT_PAPER]

    page.click(".start")
    page.wait_for_function("musicgen.listenPage.player.time > 0.3")
    playing = page.evaluate(STATE)
    assert playing["playing"] and playing["notes"] > 20 and playing["accent"] == 1
    assert page.get_attribute(".listen", "data-state") == "playing"
    assert page.url == f"{server.url}/tune/{playing['id']}"
    assert page.title().startswith(page.inner_text(".tune-title"))
    assert page.evaluate(RECTANGLE) == rectangle, "the score moved when the music started"
    assert page.evaluate("navigator.mediaSession.metadata.title") in page.title()
    assert page.evaluate("navigator.mediaSession.playbackState") == "playing"
    accent = page.evaluate("getComputedStyle(document.querySelector('.sounding')).color")
    assert accent == "rgb(166, 61, 47)"
    page.wait_for_function(
        "lit => musicgen.listenPage.player.score.lit[0]?.start > lit", arg=playing["lit"][0]
    )

    page.wait_for_function("musicgen.listenPage.queue.upcoming.length === 2")
    upcoming = page.evaluate(STATE)["upcoming"]
    page.click(".next")
    page.wait_for_function(
        "id => musicgen.listenPage.player.tune.id === id && musicgen.listenPage.player.time > 0.05",
        arg=upcoming[0],
    )
    assert page.evaluate(STATE)["playing"]
    assert page.evaluate(LAYOUT_SHIFT) < 0.02
    assert page.faults == []
    page.close()


def test_the_lit_note_is_the_one_that_sounds(page):
    payload = page.evaluate("musicgen.listenPage.player.tune")
    seen = []
    for _ in range(60):  # until four notes were seen: a slow air takes its time
        seen.append(page.evaluate(LIT_IN_THIS_FRAME))
        if len({str(lit) for _, _, lit in seen}) > 3:
            break
        page.wait_for_timeout(130)
    assert len({str(lit) for _, _, lit in seen}) > 3
    for before, after, lit in seen:
        ((start, end),) = lit  # a chord symbol before the note belongs to what is drawn
        offsets = sounding_offsets(payload, before, after)
        assert any(start <= offset < end for offset in offsets), (before, after, lit, offsets)


def test_at_the_end_of_a_tune_the_next_one_begins(page):
    first = page.evaluate(STATE)["id"]
    page.wait_for_function("musicgen.listenPage.queue.upcoming.length > 0")
    page.evaluate("musicgen.listenPage.player.seek(musicgen.listenPage.player.duration - 0.3)")
    page.wait_for_function(
        "id => musicgen.listenPage.player.tune.id !== id && musicgen.listenPage.player.playing",
        arg=first,
    )


def test_space_and_arrows_work_unless_a_text_field_has_the_focus(page):
    first = page.evaluate(STATE)["id"]
    page.click(".lock")
    page.click(".lock")  # a button that was clicked must not swallow the space
    page.keyboard.press(" ")
    page.wait_for_selector(".listen[data-state=paused]")
    page.wait_for_function("musicgen.listenPage.queue.upcoming.length > 0")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("id => musicgen.listenPage.player.tune.id !== id", arg=first)
    page.wait_for_selector(".listen[data-state=playing]")
    page.evaluate("musicgen.listenPage.player.seek(0)")  # later, it would go to the beginning first
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("id => musicgen.listenPage.player.tune.id === id", arg=first)
    page.click(".more")
    page.focus("#opening")
    page.keyboard.type("A B ")
    assert page.input_value("#opening") == "A B "
    page.wait_for_selector(".listen[data-state=playing]")
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    page.click(".more")


def test_a_changed_choice_applies_from_the_next_tune_and_says_so(page):
    before = page.evaluate(STATE)["id"]
    page.select_option("select[name=rhythm]", "polka")
    page.wait_for_selector(".up-next:has-text('From the next tune on: a polka')")
    assert page.evaluate(STATE)["id"] == before, "the tune that plays goes on"
    meters = "[...document.querySelector('select[name=meter]').options]"
    assert page.evaluate(f"{meters}.filter(o => !o.disabled).map(o => o.value)") == ["", "2/4"]
    page.click(".next")
    page.wait_for_function("id => musicgen.listenPage.player.tune.id !== id", arg=before)
    assert page.inner_text(".tune-sub").startswith("polka · ")


def test_a_locked_seed_brings_the_same_tune_again(page):
    before = page.evaluate("musicgen.listenPage.player.tune")
    assert page.input_value("input[name=seed]") == str(before["seed"])
    page.click(".lock")
    page.wait_for_function("musicgen.listenPage.queue.upcoming.length > 0")
    assert set(page.evaluate(STATE)["upcoming"]) == {before["id"]}
    assert page.inner_text(".up-next").startswith("Seed locked")


def test_parts_and_bars_are_chosen_under_more(page, server):
    page.click(".more")
    page.select_option("select[name=parts]", "2")
    page.select_option("select[name=bars]", "16")
    page.wait_for_function("musicgen.listenPage.queue.upcoming.length > 0")
    assert (2, 16) in {(choices.parts, choices.bars) for choices, _ in server.source.calls}
    page.click(".more")


def test_one_press_varies_the_tune_that_plays_and_previous_leads_back(page):
    before = page.evaluate(STATE)["id"]
    page.click(".vary")
    page.wait_for_function("id => musicgen.listenPage.player.tune.id !== id", arg=before)
    page.wait_for_selector(".notice:has-text('Some bars of that tune are new')")
    assert page.evaluate("location.pathname") == f"/tune/{page.evaluate(STATE)['id']}"
    page.evaluate("musicgen.listenPage.player.seek(0)")
    page.click(".previous")
    page.wait_for_function("id => musicgen.listenPage.player.tune.id === id", arg=before)


def test_pressing_a_note_plays_from_there(page):
    target = page.evaluate(
        """() => {
          const {score, tune} = musicgen.listenPage.player;
          const sounding = new Set(tune.spans.map(([start]) => start));
          const note = score.notes.filter(each => sounding.has(each.start)).at(-2);
          const box = note.groups[0].getBoundingClientRect();
          return {x: box.x + box.width / 2, y: box.y + box.height / 2, start: note.start};
        }"""
    )
    page.mouse.click(target["x"], target["y"])
    page.wait_for_function(
        "start => musicgen.listenPage.player.score.lit[0]?.start >= start", arg=target["start"]
    )
    payload = page.evaluate("musicgen.listenPage.player.tune")
    times = [
        onset / 1000
        for onset, (start, _) in zip(payload["onsets_ms"], payload["spans"], strict=True)
        if start == target["start"]
    ]
    assert min(abs(page.evaluate(STATE)["time"] - seconds) for seconds in times) < 1.5


def test_another_instrument_and_tempo_take_over_at_the_same_place(page):
    page.wait_for_function("musicgen.listenPage.player.time > 0.8")
    page.select_option(".instrument", "harp")
    page.wait_for_function("musicgen.listenPage.player.tune.audio_url.includes('harp')")
    page.wait_for_function("musicgen.listenPage.player.playing")
    before = page.evaluate(STATE)["time"]
    assert before > 0.7
    page.select_option(".tempo", "50")
    page.wait_for_function("musicgen.listenPage.player.tune.audio_url.includes('tempo=50')")
    assert page.evaluate(STATE)["time"] > 2 * before, "half as fast: the same note is twice as late"
    page.select_option(".tempo", "100")
    page.select_option(".instrument", "fiddle")


def test_a_kept_tune_is_listed_and_has_its_own_address(page, context, server):
    id, title = page.evaluate(STATE)["id"], page.inner_text(".tune-title")
    page.click(".heart")
    page.wait_for_selector(".heart[aria-pressed=true]")
    page.click("nav >> text=Kept")
    assert page.is_visible(f".kept [data-id='{id}'] >> text={title}")
    assert not page.is_visible(".score-at") and page.evaluate(STATE)["playing"]

    visitor = new_page(context, f"{server.url}/tune/{id}")
    assert visitor.inner_text(".welcome h1") == title
    visitor.click("text=Play this tune")
    visitor.wait_for_function("musicgen.listenPage.player.time > 0.05")
    assert visitor.evaluate(STATE)["id"] == id
    assert visitor.get_attribute(".heart", "aria-pressed") == "true"
    assert visitor.faults == []
    visitor.close()


def test_the_page_fits_every_width_with_its_transport_in_reach(page):
    for width in (390, 820, 1440):
        page.set_viewport_size({"width": width, "height": 844})
        page.wait_for_function(
            """() => { const {score} = musicgen.listenPage.player;
                       return score.width === score.element.clientWidth; }"""
        )
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        boxes = page.evaluate(
            """[...document.querySelectorAll('.transport button')]
                 .map(button => button.getBoundingClientRect().toJSON())"""
        )
        assert len(boxes) == 5
        for box in boxes:
            assert box["width"] >= 40 and box["height"] >= 40
            assert box["left"] >= 0 and box["right"] <= width and box["bottom"] <= 844
        printed = page.evaluate(
            "musicgen.listenPage.player.score.svg.getBoundingClientRect().width"
        )
        assert width * 0.6 < min(printed, 900) <= width
        staves, room = page.evaluate(
            """() => { const {element} = musicgen.listenPage.player.score;
                       return [element.querySelector(".abcjs-staff"), element]
                         .map(each => each.getBoundingClientRect().right); }"""
        )
        assert abs(staves - room) <= 8, "the staves are as wide as the page"
    page.set_viewport_size({"width": 1440, "height": 900})


def test_every_control_has_a_name(page):
    nameless = page.evaluate(
        """[...document.querySelectorAll(".page :is(button, select, input, textarea, a)")]
             .filter(e => !(e.getAttribute("aria-label") || e.textContent.trim() || e.labels?.[0]))
             .map(e => e.outerHTML.slice(0, 80))"""
    )
    assert nameless == []


def test_a_page_whose_app_is_gone_says_so_and_goes_on_when_it_is_back(page):
    page.route("**/api/listen/next", lambda route: route.abort())
    page.select_option("select[name=rhythm]", "waltz")
    page.wait_for_selector(".notice:has-text('does not answer')")
    page.unroute("**/api/listen/next")
    page.wait_for_function("musicgen.listenPage.queue.upcoming.length > 0")
    page.wait_for_selector(".notice", state="hidden")
    page.faults[:] = [text for text in page.faults if "ERR_FAILED" not in text]


def test_while_a_tune_is_being_written_there_are_staves_and_a_word_and_one_can_go_back(
    page, server
):
    before = page.evaluate(STATE)["id"]
    server.source.gate.clear()  # the model takes its time
    try:
        page.select_option("select[name=rhythm]", "waltz")
        page.select_option("select[name=key]", "Ador")
        page.wait_for_selector(".up-next:has-text('From the next tune on: writing a waltz')")
        page.click(".next")
        page.wait_for_selector(".listen[data-state=waiting]")
        assert page.inner_text(".tune-sub") == "Writing a waltz in A dorian …"
        assert page.is_visible(".score .staves")
        page.keyboard.press("ArrowLeft")
        page.wait_for_function("musicgen.listenPage.player.time > 0.02")
        assert page.evaluate(STATE)["id"] == before
    finally:
        server.source.gate.set()
    page.wait_for_function("musicgen.listenPage.queue.upcoming.length > 0")
    assert page.evaluate(STATE)["id"] == before, "the tune that was waited for took over"
    page.click(".next")
    page.wait_for_selector(".tune-sub:has-text('waltz')")


def test_without_a_sound_library_the_score_is_there_and_a_sentence_says_what_to_do(page, server):
    class Silent:
        def get(self, midi, options=None):
            raise AudioError("no sound library: run ./run setup")

    sounding, server.jukebox.playback.cache = server.jukebox.playback.cache, Silent()
    try:
        page.select_option("select[name=rhythm]", "jig")
        page.select_option("select[name=key]", "G")
        page.wait_for_function("musicgen.listenPage.queue.upcoming.length === 2")
        page.click(".next")
        page.wait_for_selector(".notice:has-text('No sound library: run ./run setup.')")
        assert page.evaluate(STATE)["notes"] > 20
    finally:
        server.jukebox.playback.cache = sounding
    page.faults[:] = [text for text in page.faults if "503" not in text]


def test_light_and_dark_are_one_press_apart_and_remembered(context, server):
    page = new_page(context, server.url)
    assert page.evaluate(PAPER) == LIGHT_PAPER
    page.click("[data-theme-toggle]")
    assert page.evaluate(PAPER) == DARK_PAPER
    page.reload()
    assert page.evaluate(PAPER) == DARK_PAPER, "before Gradio or our script has come"
    page.wait_for_selector(".listen[data-state=first]")
    assert page.evaluate(PAPER) == DARK_PAPER
    page.click("[data-theme-toggle]")
    page.close()


def test_without_abcjs_tunes_play_and_a_sentence_says_how_to_get_the_scores(context, server):
    context.route("**/abcjs-basic-min.js", lambda route: route.fulfill(status=404))
    try:
        page = new_page(context, server.url)
        assert "Run ./run assets" in page.inner_text(".welcome-note")
        page.click(".start")
        page.wait_for_function("musicgen.listenPage.player.time > 0.3")
        assert page.is_visible(".score .staves")
    finally:
        context.unroute("**/abcjs-basic-min.js")
    assert [text for text in page.faults if "404" not in text] == []
    page.close()


def test_without_a_model_the_page_says_what_to_do(context, server):
    message = "There is no model to write tunes: `musicgen train` makes one."
    server.source.error = NoModel(message)
    preparer = server.jukebox.preparer
    try:
        with preparer._changed:
            for shelf in preparer._shelves.values():
                shelf.clear()
        page = new_page(context, server.url)
        page.wait_for_selector(f"text={message}")
        assert page.inner_text(".start") == "Try again"
        server.source.error = None  # somebody has trained one
        page.click(".start")
        page.wait_for_function("musicgen.listenPage.player.time > 0.05")
    finally:
        server.source.error = None
    assert [text for text in page.faults if "503" not in text] == []
    page.close()


WIDER = ".page * { letter-spacing: var(--wider, normal) !important; }"


def test_the_links_of_all_pages_stand_on_one_line_on_a_phone_in_any_font(context, server):
    page = new_page(context, server.url)
    page.evaluate("document.querySelector('.kept-count').textContent = '12'")
    page.add_style_tag(content=WIDER)
    for width in (320, 360, 390, 440):
        page.set_viewport_size({"width": width, "height": 700})
        for spacing in ("normal", "0.05em", "0.09em"):  # up to a fifth wider
            page.evaluate(
                "wider => document.documentElement.style.setProperty('--wider', wider)", spacing
            )
            tops = page.evaluate(
                "[...document.querySelectorAll('.page-top nav a')]"
                ".map(a => a.getClientRects().length)"
            )
            assert tops == [1] * 5
            assert page.evaluate("document.documentElement.scrollWidth") <= width, spacing
            nav, moon = (
                page.query_selector(s).bounding_box() for s in (".page-top nav", ".page-top .icon")
            )
            last = page.query_selector(".page-top nav a:last-child").bounding_box()
            assert last["x"] + last["width"] <= moon["x"] + 2, (width, spacing)
            assert nav["height"] < 56 and moon["x"] + moon["width"] <= width
    page.close()


def test_bars_too_full_for_a_phone_are_drawn_smaller_and_not_beyond_its_edge(context, server):
    page = new_page(context, server.url)
    page.set_viewport_size({"width": 320, "height": 640})
    page.wait_for_function("musicgen.listenPage.player.score.width < 320")
    bar = "^F_GFG ^A_B^AB cdef ^g_a^ga|"
    full = "X:1\nM:4/4\nL:1/16\nK:E\n" + (bar * 4 + "\n") * 2
    drawn = page.evaluate(
        """abc => { const {score} = musicgen.listenPage.player;
                    score.draw(abc);
                    const {left, right, width, height} = score.svg.getBoundingClientRect();
                    const view = score.svg.viewBox.baseVal, tall = view.height / view.width;
                    return {left, right, wide: view.width, stretch: height / width / tall,
                            notes: score.notes.length,
                            page: document.documentElement.scrollWidth}; }""",
        full,
    )
    assert drawn["notes"] == 8 * 16 and drawn["wide"] > 400  # abcjs found no room in 360
    assert drawn["left"] >= 0 and drawn["right"] <= 320 and drawn["page"] <= 320
    assert abs(drawn["stretch"] - 1) < 0.02
    page.close()


@pytest.mark.parametrize("path", ["/", "/rate", "/results"])
def test_no_page_is_wider_than_the_narrowest_phone_in_a_wider_font(context, server, path):
    page = new_page(context, server.url + path, state=None)
    page.set_viewport_size({"width": 320, "height": 640})
    page.wait_for_selector("[data-state]:not([data-state=loading])")
    page.add_style_tag(content=".page * { letter-spacing: 0.09em !important; }")
    if path == "/":
        page.click(".start")
        page.wait_for_function("musicgen.listenPage.player.time > 0.05")
        page.click(".more")
    if path == "/rate":
        page.click(".begin")
        page.click(".guide-toggle")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    wide = page.evaluate(
        """[...document.querySelectorAll(".page :is(button, select, input, textarea, a, p, h1)")]
             .filter(e => e.checkVisibility() && e.getBoundingClientRect().right > 321)
             .map(e => e.outerHTML.slice(0, 80))"""
    )
    assert wide == []
    page.close()

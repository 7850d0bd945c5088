"""Every page by keyboard: Tab reaches each control once, in the order seen, and shows it."""

from types import SimpleNamespace

import pytest
from fake_pairs import BookPairs
from fake_source import BookSource
from served_app import CHROMIUM_OPTIONS, served

from prefs.records import Vote
from ui.app import make_desk, make_jukebox
from ui.assets import abcjs_fault

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

# Browser, server and Gradio leave sockets and loops to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

PATIENCE_MS = 30_000
WIDTHS = {"desktop": 1280, "phone": 390}

# `controls()`: what can be pressed or filled in; `place` is what is seen of it, for an unseen field
# its label. `before(a, b)`: a is seen before b, in a higher row or further left; of two columns the
# left one is read to its end.
HELPERS = """
window.keyboard = (() => {
  const CONTROLS = "a[href], button, input, select, textarea, summary, iframe, [tabindex='0']";
  const PANES = ".side, figure, .ranked";
  const place = element => element.matches(".unseen") ? element.closest("label") : element;
  const seen = element => {
    const [at, box] = [place(element), place(element).getBoundingClientRect()];
    return box.width > 4 && box.height > 4 && getComputedStyle(at).pointerEvents !== "none"
      && at.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  };
  const ring = element => {
    const style = getComputedStyle(place(element));
    const outline = style.outlineStyle !== "none" && style.outlineWidth + style.outlineColor;
    return [outline, style.boxShadow].join();
  };
  const before = (a, b) => {
    const [left, right] = [a, b].map(element => element.closest(PANES));
    const apart = left !== right && !left?.contains(right) && !right?.contains(left);
    const [from, to] = (apart ? [left ?? a, right ?? b] : [a, b])
      .map(each => place(each).getBoundingClientRect());
    const shared = Math.min(from.bottom, to.bottom) - Math.max(from.top, to.top);
    const oneRow = shared > Math.min(from.height, to.height) / 2;
    return oneRow ? from.left < to.left : from.top < to.top;
  };
  const name = element => !element || element === document.body ? "" :
    [element.localName, ...element.classList].join(".") + " " +
    (element.getAttribute("aria-label") ?? element.textContent.trim().slice(0, 24));
  const controls = () => [...document.querySelectorAll(CONTROLS)]
    .filter(each => !each.disabled && seen(each));
  let rings, last;
  return {
    begin() {
      const top = document.createElement("p"); // Tab goes on from where the focus was last
      top.tabIndex = -1;
      document.body.prepend(top);
      top.focus();
      top.remove();
      scrollTo(0, 0);
      last = null;
      const all = controls();
      rings = new Map(all.map(each => [each, ring(each)]));
      return all.map(each => all.indexOf(each) + " " + name(each));
    },
    focus() {
      const element = document.activeElement;
      if (!element || element === document.body) return { name: "" };
      const faults = [];
      if (!seen(element)) faults.push("cannot be seen");
      if (ring(element) === rings.get(element)) faults.push("has no ring");
      if (last && !before(last, element)) faults.push("is seen before " + name(last));
      last = element;
      return { name: [...rings.keys()].indexOf(element) + " " + name(element), faults };
    },
  };
})();
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The app with forty votes, so that every page has something to show: `url`."""
    if fault := abcjs_fault():
        pytest.skip(f"{fault}: run ./run assets")
    home = tmp_path_factory.mktemp("home")
    jukebox = make_jukebox(home, BookSource())
    pairs = BookPairs(("base", "tuned"))
    desk = make_desk(home, pairs, jukebox.playback)
    store = desk.store()
    for number in range(40):
        new = pairs.evaluation_pair() if number % 2 else pairs.learning_pair()
        store.add_tunes([new.first, new.second])
        store.add_pairs([new.pair])
        store.cast(Vote(new.pair.id, "first", "ann"))
    with served(home, jukebox, desk) as url:
        yield SimpleNamespace(url=url)


@pytest.fixture(scope="module")
def context(chromium):
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS)
        context = browser.new_context(color_scheme="light")
        context.set_default_timeout(PATIENCE_MS)
        yield context
        browser.close()


def nothing_more(page):
    del page


def a_tune_with_more_choices(page):
    page.click(".start")
    page.wait_for_function("musicgen.listenPage.player.playing")
    page.click(".play")
    page.click(".more")


def a_pair_with_its_guide(page):
    page.click(".begin")
    page.wait_for_function("musicgen.ratePage.sides[0].player.playing")
    page.keyboard.press(" ")
    page.click(".guide-toggle")


def a_rest_after_a_vote(page):
    page.click(".begin")
    before = page.evaluate("musicgen.ratePage.pair.pair_id")
    page.click(".skip")
    page.wait_for_function("id => (musicgen.ratePage.pair?.pair_id ?? id) !== id", arg=before)
    page.evaluate("musicgen.ratePage.resting = true; musicgen.ratePage.setState('rest')")


def every_fold(page):
    for fold in page.query_selector_all("summary"):
        if fold.is_visible():
            fold.click()


PAGES = {
    "listen-first": ("/", ".listen[data-state=first]", nothing_more),
    "listen": ("/", ".listen[data-state=first]", a_tune_with_more_choices),
    "rate-first": ("/rate", ".rate[data-state=first]", nothing_more),
    "rate": ("/rate", ".rate[data-state=first]", a_pair_with_its_guide),
    "rate-rest": ("/rate", ".rate[data-state=first]", a_rest_after_a_vote),
    "results": ("/results", ".results[data-state=shown]", every_fold),
    "retrain": ("/retrain", ".retrain[data-state=idle]", every_fold),
}


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS.keys())
@pytest.mark.parametrize("address, shown, prepare", PAGES.values(), ids=PAGES.keys())
def test_tab_visits_every_control_in_the_order_seen_and_back(
    context, server, address, shown, prepare, width
):
    page = context.new_page()
    # High enough that nothing that sticks to the lower edge is drawn over what stands there.
    page.set_viewport_size({"width": width, "height": 2000})
    page.goto(server.url + address)
    page.wait_for_selector(shown)
    prepare(page)
    page.evaluate(HELPERS)
    controls = page.evaluate("keyboard.begin()")
    assert len(controls) > 5
    visited = []
    for _ in controls:
        page.keyboard.press("Tab")
        visited.append(page.evaluate("keyboard.focus()"))
    assert [each for each in visited if each.get("faults")] == []
    names = [each["name"] for each in visited]
    assert sorted(names) == sorted(controls)
    back = []
    for _ in controls[1:]:
        page.keyboard.press("Shift+Tab")
        back.append(page.evaluate("keyboard.focus()")["name"])
    assert back == names[-2::-1]
    # from the last control on to the browser, or around to the first
    for _ in controls[1:]:
        page.keyboard.press("Tab")
    assert page.evaluate("keyboard.focus()")["name"] == names[-1]
    page.keyboard.press("Tab")
    assert page.evaluate("keyboard.focus()")["name"] in ("", names[0]), "Tab leaves the page"
    page.close()

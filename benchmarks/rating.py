"""How long a rater waits: from a key press to the next pair, and to its sound, in a real browser.

Votes on pairs of the bundled model. Both tunes count as heard at once, and a vote comes every four
seconds, twice as fast as anybody could listen. Every twentieth vote is followed by the offer of a
rest, which waits for the rater: that one is not timed. The promise: a median of at most 150 ms
until both scores of the next pair are drawn, and of at most a second until its first tune sounds:
all that the page adds to the listening.
"""

import shutil
import statistics

from playwright.sync_api import sync_playwright

from benchmarks._served import served

VOTES = 30
PAUSE_MS = 4_000
PROMISED_MS = 150
PROMISED_SOUND_MS = 1_000
LIMIT_MS = 15_000  # nothing is waited for any longer
# Resolves to [ms until drawn, ms until it sounds], the second null before a rest, or to a sentence.
CAST_AND_WAIT = """(limit) => new Promise((done) => {
  const page = musicgen.ratePage;
  for (const side of page.sides) side.heard = 5000;
  page.openVote();
  const before = page.pair.pair_id;
  const start = performance.now();
  document.dispatchEvent(new KeyboardEvent("keydown", { key: "1", bubbles: true }));
  const isDrawn = ({ player }, at) =>
    player.score.abc === page.pair.sides[at].abc && player.score.notes.length > 0;
  let drawn = null;
  const missing = () => {
    if (!page.pair || page.pair.pair_id === before) return "no next pair came";
    return drawn === null ? "the next pair's scores were not drawn" : "the next pair made no sound";
  };
  setTimeout(() => done(`${missing()} within ${limit / 1000} s`), limit);
  const look = () => {
    const shown = page.pair && page.pair.pair_id !== before;
    const passed = performance.now() - start;
    if (drawn === null && shown && page.sides.every(isDrawn)) drawn = passed;
    const [{ player, side }] = page.sides;
    const sounds = player.playing && player.time * 1000 > side.from_ms + 1;
    if (drawn !== null && (sounds || page.resting)) done([drawn, page.resting ? null : passed]);
    else if (passed < limit) requestAnimationFrame(look);
  };
  look();
})"""


def main() -> None:
    """Prints the waits; exits with 1 if the promise is broken or something did not happen."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("no chromium here: nothing measured")
        return
    with served("pairs") as address:
        waits = measure(chromium, f"{address}/rate")
    broken = False
    named = ("the next pair is drawn", "its sound begins")
    for name, waited, promised in zip(
        named, zip(*waits, strict=True), (PROMISED_MS, PROMISED_SOUND_MS), strict=True
    ):
        median = statistics.median(waited)
        kept = median <= promised
        broken = broken or not kept
        print(
            f"{len(waits)} votes: {name} after {median:.0f} ms (median), {max(waited):.0f} (worst)"
        )
        print(
            f"promise: at most {promised} ms (median) - {'kept' if kept else 'BROKEN'}", flush=True
        )
    if broken:
        raise SystemExit(1)


def measure(chromium: str, address: str) -> list[tuple[float, float]]:
    """Milliseconds from each of the votes to the next pair, and to its sound."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(address)
        page.wait_for_selector(".rate[data-state=first]", timeout=120_000)
        page.keyboard.press(" ")
        waits: list[tuple[float, float]] = []
        while len(waits) < VOTES:
            page.wait_for_timeout(PAUSE_MS)
            found = page.evaluate(CAST_AND_WAIT, LIMIT_MS)
            if isinstance(found, str):
                raise SystemExit(f"vote {len(waits) + 1}: {found}")
            drawn, sounds = found
            if sounds is None:
                page.keyboard.press(" ")  # the rest is over
            else:
                waits.append((float(drawn), float(sounds)))
        browser.close()
    return waits


if __name__ == "__main__":
    main()

"""The look shared by all pages: Gradio's theme in our colours, the document's head, the top bar.

The rules themselves are in ui/static/page.css; the colours below are the same ones, for the parts
that Gradio draws itself and for the moment before our style sheet is there.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import gradio

STATIC = Path(__file__).parent / "static"
PLAYER = Path(__file__).parent / "player"

PAPER, INK, ACCENT, HAIRLINE = "#FBF8F1", "#1F1B16", "#A63D2F", "#E5DECF"
PAPER_DARK, INK_DARK, ACCENT_DARK, HAIRLINE_DARK = "#191613", "#EDE6D8", "#E07A5F", "#38322B"

PAGES = (
    ("Listen", "/"),
    ("Rate", "/rate"),
    ("Results", "/results"),
    ("Retrain", "/retrain"),
)  # the pages that exist, in the order of the top bar


def head(name: str, base: str = "/") -> str:
    """Head of the page whose style and script are ui/static/NAME.css and .js.

    `base` is what Gradio's own relative addresses start from.
    """
    return f"""
<base href="{base}">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="/page/icon.svg" type="image/svg+xml">
<style>
  html, html body {{ background: {PAPER}; }}
  html[data-theme="dark"], html[data-theme="dark"] body {{ background: {PAPER_DARK}; }}
</style>
<script src="/page/theme.js"></script>
<link rel="stylesheet" href="/page/page.css">
<link rel="stylesheet" href="/player/player.css">
<link rel="stylesheet" href="/page/{name}.css">
<script src="/page/vendor/abcjs-basic-min.js" defer></script>
<script type="module" src="/page/{name}.js"></script>
"""


def gradio_theme() -> gradio.themes.Base:
    """Gradio's own components in paper, ink and one accent, with the system's fonts."""
    import gradio

    return gradio.themes.Base(
        font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    ).set(
        body_background_fill=PAPER,
        body_background_fill_dark=PAPER_DARK,
        body_text_color=INK,
        body_text_color_dark=INK_DARK,
        background_fill_primary=PAPER,
        background_fill_primary_dark=PAPER_DARK,
        block_background_fill=PAPER,
        block_background_fill_dark=PAPER_DARK,
        border_color_primary=HAIRLINE,
        border_color_primary_dark=HAIRLINE_DARK,
        color_accent=ACCENT,
        button_primary_background_fill=ACCENT,
        button_primary_background_fill_dark=ACCENT_DARK,
        button_primary_text_color=PAPER,
        button_primary_text_color_dark=PAPER_DARK,
    )


def top_bar(current: str, extra: str = "") -> str:
    """The bar at the top of a page, as HTML; `current` is the name of the page that is open."""
    links = "".join(
        f'<a href="{address}"{" aria-current=page" if name == current else ""}>{escape(name)}</a>'
        for name, address in PAGES
    )
    moon = '<path d="M19 14.5A7.5 7.5 0 0 1 9.5 5a7.5 7.5 0 1 0 9.5 9.5z"/>'
    return (
        f'<header class="page-top no-print"><nav aria-label="Pages">{links}{extra}</nav>'
        '<button type="button" class="icon" data-theme-toggle aria-label="Dark page">'
        f'<svg viewBox="0 0 24 24" aria-hidden="true">{moon}</svg></button></header>'
    )

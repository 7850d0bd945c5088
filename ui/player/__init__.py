"""Pages as one Gradio component: its markup is ours, and an ES module brings it to life.

The player itself is player.js beside this file: score, sound, position line, instrument, tempo. A
page's module makes one (or two, to compare) and hands it tunes. Any page that wants it does

    page_component(html, "/page/listen.js")

where the module exports `mount(element)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import gradio


def page_component(html: str, module: str) -> gradio.HTML:
    """A gr.HTML that shows `html` at once and calls `mount(element)` of the ES module `module`."""
    import gradio

    return gradio.HTML(
        value="",
        html_template=html,
        js_on_load=f'import("{module}").then((page) => page.mount(element));',
        apply_default_css=False,
        container=False,
        padding=False,
    )

"""Colours that can be read, in light and in dark, and the same ones wherever they are written."""

import re

import pytest

from ui import theme

CSS = (theme.STATIC / "page.css").read_text(encoding="utf-8")
LIGHT = re.search(r":root \{(.*?)\}", CSS, re.DOTALL)
DARK = re.search(r':root\[data-theme="dark"\] \{(.*?)\}', CSS, re.DOTALL)
assert LIGHT and DARK


def colours(block: re.Match[str]) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+): (#[0-9A-F]{6});", block.group(1)))


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_contrast_formula_gives_the_known_extremes():
    assert contrast("#FFFFFF", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("block", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["ink", "quiet", "accent", "success"])
def test_text_has_a_contrast_of_four_and_a_half_to_one(block, name):
    found = colours(block)
    assert contrast(found[name], found["paper"]) >= 4.5


@pytest.mark.parametrize("block", [LIGHT, DARK], ids=["light", "dark"])
def test_the_main_button_can_be_read(block):
    found = colours(block)
    assert contrast(found["on-accent"], found["accent"]) >= 4.5


def test_gradio_and_the_style_sheet_agree_on_the_colours():
    light, dark = colours(LIGHT), colours(DARK)
    assert tuple(light[name] for name in ("paper", "ink", "accent", "hairline")) == (
        theme.PAPER,
        theme.INK,
        theme.ACCENT,
        theme.HAIRLINE,
    )
    assert tuple(dark[name] for name in ("paper", "ink", "accent", "hairline")) == (
        theme.PAPER_DARK,
        theme.INK_DARK,
        theme.ACCENT_DARK,
        theme.HAIRLINE_DARK,
    )


def test_no_page_asks_for_anything_outside_this_machine():
    files = [*theme.STATIC.glob("*.*"), *theme.PLAYER.glob("*.*")]
    assert len(files) > 10
    for path in files:
        text = path.read_text(encoding="utf-8")
        addresses = set(re.findall(r"https?://[^\s\"'`]+", text))
        assert addresses <= {"http://www.w3.org/2000/svg"}, path.name  # a name, not an address
    assert "CreateSynth" not in "".join(path.read_text("utf-8") for path in files)


def test_every_file_the_head_names_is_there():
    named = re.findall(
        r'(?:href|src)="/(page|player)/([^"]+)"', theme.head("listen") + theme.head("rate")
    )
    assert len(named) == 14
    for folder, name in named:
        if "vendor/" not in name:  # fetched by the build; `musicgen doctor` checks it
            assert ({"page": theme.STATIC, "player": theme.PLAYER}[folder] / name).is_file()

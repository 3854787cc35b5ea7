"""What tests of the report's page look at."""

from __future__ import annotations

import re

from playwright.sync_api import Page

#: What is painted in the parts of the drawing: of each canvas, how many pixels have a colour.
_PAINTED = """() => [...document.querySelectorAll("[data-part=chart] .plot canvas")].map((canvas) => {
    const pen = canvas.getContext("2d");
    if (!canvas.width || !canvas.height) return 0;
    const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
    let coloured = 0;
    for (let i = 0; i < data.length; i += 4) {
        const [red, green, blue, alpha] = data.slice(i, i + 4);
        if (alpha && Math.max(red, green, blue) - Math.min(red, green, blue) > 40) coloured++;
    }
    return coloured;
})"""

_DARK = """() => document.querySelector(".plot td:nth-child(2) canvas").getContext("2d")
    .getImageData(1, 1, 1, 1).data.slice(0, 3).every((value) => value < 50)"""


def painted(page: Page) -> int:
    """How many of the drawing's canvases are painted in colours. Chromium warns of how that is found out."""
    amounts: list[int] = page.evaluate(_PAINTED)
    return sum(amount > 300 for amount in amounts)


def wait_for_ground(page: Page, *, dark: bool) -> None:
    """Wait until the drawing is on dark ground, or on light."""
    page.wait_for_function(f"(wanted) => ({_DARK})() === wanted", arg=dark)


def column(page: Page, place: int) -> list[str]:
    """The texts of a column of the list of trades; from 1."""
    return page.locator(f'[data-part="trades"] tbody tr td:nth-child({place})').all_text_contents()


def number(text: str) -> float:
    """A number as the page writes it."""
    return float(re.sub(r"[^\d.-]", "", text))

"""The report as one file: it needs nothing else, and no text in it can become more than text."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from apps.backtests.report.bundle import bundled
from apps.backtests.report.document import drawn_document, report_document
from apps.backtests.report.drawing import drawing_of
from apps.backtests.report.file import render_file
from tests.backtests.report.looking import column, number, painted, wait_for_ground
from tests.backtests.report.running import SPEC, outcome, walk
from tests.browser import Visit, needs_chromium, visiting

#: How many greenish and reddish pixels the part of the drawing with the equity has, once that is drawn.
_COLOURED = """() => {
    let [green, red, blue] = [0, 0, 0];
    for (const canvas of document.querySelectorAll(".plot tr:nth-of-type(3) td:nth-child(2) canvas")) {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        for (let i = 0; i < data.length; i += 4) {
            const [r, g, b] = data.slice(i, i + 3);
            if (data[i + 3] && g > Math.max(r, b) + 30) green++;
            if (data[i + 3] && r > Math.max(g, b) + 30) red++;
            if (data[i + 3] && b > Math.max(r, g) + 30) blue++;
        }
    }
    return blue > 300 && [green, red];
}"""

HOSTILE = [
    "</script><script>window.broken = 1</script>",
    "<!--<script>",
    '"><img src=x onerror="window.broken = 1">',
    "</title><svg onload='window.broken = 1'>",
    "\u2028window.broken = 1\u2029",
    "]]> {{ title }} {% now 'Y' %} &lt;b&gt;",
    "\\u003c/script\\u003e",
]


def hostile_document(text: str) -> dict[str, Any]:
    """A report in which every text that others can choose is this one."""
    bars = walk(400)
    made = drawn_document(
        instruments=[text],
        drawing=drawing_of([bars], 10_000.0),
        outcome=outcome(bars),
        spec={**SPEC.as_dict(), "params": {text: text}, "strategy": f"{text}\n"},
        timeframe="1m",
        title=text,
        strategy={"name": text, "title": text, "description": text, "text": text},
        notes=(text,),
    )
    made["trades"]["reasons"] = [text] * len(made["trades"]["reasons"])
    made["exits"][0]["reason"] = text
    return made


def data_of(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="report-data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


@pytest.fixture(scope="module")
def tame() -> str:
    """A page on which no text is hostile."""
    return render_file(hostile_document("tame"))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text_in_the_markup(text: str, tame: str) -> None:
    document = hostile_document(text)
    page = render_file(document)
    assert data_of(page) == document
    for mark in ("<script", "</script", "<img", "<svg", "<!--", "<title", "</title"):
        assert page.count(mark) == tame.count(mark), mark


def test_nothing_is_loaded(year_document: dict[str, Any]) -> None:
    page = render_file(year_document)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    # One script and one style, and no others.
    allowed = (
        r"default-src 'none'; script-src 'sha256-[\w+/=]+'; style-src 'sha256-[\w+/=]+'; img-src data:;.*"
    )
    assert re.fullmatch(allowed, policy[1])
    assert "unsafe" not in policy[1]
    assert not re.search(r'<(?:script|img|link)[^>]+(?:src|href)="(?!data:)', page)


def test_modules_become_one_script_in_the_order_of_their_imports() -> None:
    modules = {
        "main.js": 'import {\n  one,\n  two as second,\n} from "./a.js";\nimport "./b.js";\none(second);\n',
        "a.js": 'import { x } from "../b.js";\nexport const one = 1;\nexport async function two() {}\n',
        "b.js": "const q=1;export{q as x,q};",
        "unused.js": "export default 1;",
    }
    script = bundled(modules, "main.js")
    places = [script.index(f'modules["{name}"] = ') for name in ("b.js", "a.js", "main.js")]
    assert places == sorted(places)
    assert "return { x: q, q };" in script
    assert "return { one, two };" in script
    assert "two: second" in script
    assert not re.search(r"\b(?:import|export|unused)\b", script)


@pytest.mark.parametrize("text", ['import "./main.js";\n', 'import "./no.js";\n', "export default 1;\n"])
def test_modules_that_cannot_be_put_together_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"main\.js"):
        bundled({"main.js": text}, "main.js")


@pytest.fixture
def visit() -> Iterator[Visit]:
    with visiting("about:blank", viewport={"width": 1280, "height": 900}, offline=True) as visit:
        yield visit


@needs_chromium
def test_hostile_text_is_text_in_the_browser(visit: Visit, tmp_path: Path) -> None:
    for text in HOSTILE:
        (tmp_path / "report.html").write_text(render_file(hostile_document(text)))
        visit.page.goto((tmp_path / "report.html").as_uri())
        expect(visit.page.locator("#report")).to_have_attribute("data-state", "ready")
        assert visit.page.locator("h1").text_content() == text
        assert visit.page.evaluate("window.broken") is None
    assert visit.errors == []


def shown(visit: Visit, folder: Path, document: dict[str, Any]) -> Page:
    (folder / "report.html").write_text(render_file(document))
    visit.page.goto((folder / "report.html").as_uri())
    expect(visit.page.locator("#report")).to_have_attribute("data-state", "ready")
    return visit.page


@needs_chromium
def test_a_year_of_minutes_is_shown_without_a_network(
    visit: Visit, tmp_path: Path, year_document: dict[str, Any]
) -> None:
    visit.page.emulate_media(color_scheme="dark")
    begun = time.perf_counter()
    page = shown(visit, tmp_path, year_document)
    chart, rows = page.locator('[data-part="chart"]'), page.locator('[data-part="trades"] tbody tr')
    expect(chart).to_have_attribute("data-marked", re.compile("^[1-9]"))
    total = year_document["trades"]["total"]
    print(f"a year of minutes with {total:,} trades is there after {time.perf_counter() - begun:.2f} s")
    expect(chart).to_have_attribute("data-bars", str(len(year_document["prices"][0]["ts"])))
    expect(chart).to_have_attribute("data-visible", str(total))
    expect(rows).to_have_count(50)
    page.get_by_role("button", name="Gain", exact=True).click()
    assert number(column(page, 9)[0]) == round(min(year_document["trades"]["pnl"]), 2)
    page.get_by_role("button", name="Gain", exact=True).click()
    assert number(column(page, 9)[0]) == round(max(year_document["trades"]["pnl"]), 2)
    # Looking closer shows the same bars: there are no others.
    best = int(number(column(page, 1)[0])) - 1
    rows.first.click()
    expect(chart).to_have_attribute("data-trade", str(best))
    expect(chart).to_have_attribute("data-visible", re.compile(r"^\d{1,3}$"))
    expect(chart).to_have_attribute("data-bars", str(len(year_document["prices"][0]["ts"])))
    assert visit.errors == []
    assert [url for url in visit.requests if not url.startswith(("data:", "file:"))] == []
    wait_for_ground(page, dark=True)
    page.emulate_media(color_scheme="light")
    wait_for_ground(page, dark=False)
    assert painted(page) >= 3


@needs_chromium
def test_another_instrument_is_shown_when_chosen_or_when_a_trade_of_it_is(
    visit: Visit, tmp_path: Path
) -> None:
    first, second = walk(900), walk(700, seed=2)
    found = outcome(first)
    places = np.arange(len(found.trades), dtype=np.int16) % 2
    found = replace(found, trades=replace(found.trades, instrument=places))
    names = {"binance:BTC/USDT": first, "binance:ETH/USDT": second}
    document = report_document(bars=names, outcome=found, spec=SPEC.as_dict(), timeframe="1m")
    page = shown(visit, tmp_path, document)
    chart, legend = page.locator('[data-part="chart"]'), page.locator(".legend").first
    expect(legend).to_contain_text("BTC/USDT")
    expect(chart).to_have_attribute("data-bars", "900")
    page.get_by_role("button", name="Show trade 4 on the chart").click()
    expect(chart).to_have_attribute("data-bars", "700")
    expect(page.get_by_label("Instrument")).to_have_value("1")
    page.get_by_label("Instrument").select_option("binance:BTC/USDT")
    expect(chart).to_have_attribute("data-bars", "900")
    assert column(page, 3)[:2] == list(names)
    assert visit.errors == []


@needs_chromium
def test_a_band_is_drawn_and_tabled(visit: Visit, tmp_path: Path) -> None:
    bars = walk(900)
    found = outcome(bars)
    worth = float(found.equity[-1])
    ends = {"pessimistic": worth, "optimistic": worth + float(np.ptp(found.equity)) / 2}
    bounds = {name: {"final_equity": value, "return_pct": -1.5} for name, value in ends.items()}
    colours = {}
    for known in (None, bounds):
        found = replace(found, ambiguous=12, bounds=known)
        made = report_document(bars={"a": bars}, outcome=found, spec=SPEC.as_dict(), timeframe="1m")
        page = shown(visit, tmp_path, made)
        band, legend = page.locator('[data-part="band"]'), page.locator(".legend").nth(1)
        expect(legend.locator(".pessimistic, .optimistic")).to_have_count(2 if known else 0)
        colours[known is not None] = page.wait_for_function(_COLOURED).json_value()
        if not known:
            expect(band).to_be_hidden()
    expect(band).to_contain_text("12 bars do not tell")
    expect(band).to_contain_text("Everything else on this page is of the pessimistic reading.")
    money = [f"{value:,.2f}" for value in ends.values()]
    assert band.locator("td").all_text_contents()[:2] == money
    expect(legend.locator(".pessimistic")).to_have_text(f"pessimistic end {money[0]}")
    expect(legend.locator(".optimistic")).to_have_text(f"optimistic end {money[1]}")
    # Two dotted levels.
    assert colours[False] == [0, 0]
    assert min(colours[True]) > 30, colours
    assert [error for error in visit.errors if not error.startswith("Canvas2D:")] == []


@needs_chromium
def test_without_candles_the_curves_are_drawn_all_the_same(visit: Visit, tmp_path: Path) -> None:
    bars = walk(900)
    made = report_document(bars={"a": walk(0)}, outcome=outcome(bars), spec=SPEC.as_dict(), timeframe="1m")
    page = shown(visit, tmp_path, made)
    page.get_by_role("button", name="Show trade 2 on the chart").click()
    expect(page.locator('[data-part="chart"]')).to_have_attribute("data-trade", "1")
    assert visit.errors == []
    assert painted(page) >= 2


@needs_chromium
def test_a_run_without_trades_is_shown(visit: Visit, tmp_path: Path) -> None:
    bars = walk(10)
    made = report_document(bars={"a": bars}, outcome=outcome(bars), spec=SPEC.as_dict(), timeframe="1m")
    page = shown(visit, tmp_path, made)
    expect(page.locator('[data-part="trades"] [role=status]')).to_have_text("No trades.")
    assert visit.errors == []

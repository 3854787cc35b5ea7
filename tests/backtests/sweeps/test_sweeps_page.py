"""The page of a sweep in a real browser, from its first moment to its end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from django.test import Client
from playwright.sync_api import Page, expect

from apps.backtests.models import Sweep
from apps.backtests.sweeps.reading import found_of
from apps.candles.selectors import instrument_get
from apps.candles.storage.writer import delete_candles
from apps.tasks.testing import run_pending
from tests.backtests.report.looking import number, wait_for_ground
from tests.backtests.sweeps.conftest import END, START, body, post, run_some, store
from tests.browser import Visit, beside, needs_chromium, visiting

pytestmark = needs_chromium

WALK = {"train": "6d", "test": "2d"}
#: How many different colours a canvas has.
_COLOURS = """() => {
    const canvas = document.querySelector(".heatmap canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const seen = new Set();
    for (let i = 0; i < data.length; i += 4) seen.add(`${data[i]} ${data[i + 1]} ${data[i + 2]}`);
    return seen.size;
}"""


@pytest.fixture
def market(shared_candles: None) -> str:
    return store()


@pytest.fixture
def visit(market: str, alice: Any, live_server: Any) -> Iterator[Visit]:
    client = Client()
    client.force_login(alice)
    session = client.cookies["sessionid"].value
    with visiting(live_server.url, viewport={"width": 1280, "height": 900}) as visit:
        visit.page.context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
        yield visit


def asked(alice: Any, market: str, **changes: Any) -> Sweep:
    """A sweep that nothing has been computed of."""

    def ask() -> Sweep:
        client = Client()
        client.force_login(alice)
        answer = post(client, body(market, **changes))
        assert answer.status_code == 202, answer.content
        return Sweep.objects.get(pk=answer.json()["id"])

    return beside(ask)


def opened(visit: Visit, sweep: Sweep) -> Page:
    visit.page.goto(f"/backtests/sweeps/{sweep.pk}")
    expect(visit.page.locator("#report")).to_have_attribute("data-state", "ready")
    return visit.page


def part(page: Page, name: str) -> Any:
    return page.locator(f'[data-part="{name}"]')


@pytest.mark.usefixtures("small_chunks")
def test_a_sweep_is_drawn_from_its_first_chunk_to_its_end(
    alice: Any, market: str, live_server: Any, visit: Visit
) -> None:
    sweep = asked(alice, market, walk_forward=WALK, metric="return_pct")
    page = opened(visit, sweep)
    expect(page.get_by_role("heading", level=1)).to_have_text("Sweep of Moving-average crossover")
    expect(part(page, "best")).to_have_text("Nothing has been computed yet.")
    expect(part(page, "progress").locator("p")).to_contain_text("Waiting for its turn: 0 of 19 combinations")
    assert part(page, "swept").locator("tr").nth(2).locator("td").all_text_contents() == [
        "10 to 40 in steps of 10",
        "4",
    ]

    beside(lambda: run_some(2))
    # It may have been asked while the first chunk was under way.
    expect(part(page, "progress").locator("p")).to_contain_text(", 2 of ")
    done = number(part(page, "progress").locator("p").inner_text().split(" of ")[0])
    assert part(page, "progress").locator("progress").evaluate("(bar) => bar.value") == done > 0
    expect(part(page, "drawing")).to_have_attribute("data-computed", f"{done:.0f}")
    expect(part(page, "walk")).to_be_hidden()
    expect(part(page, "overfit")).to_be_hidden()

    beside(run_pending)
    expect(page.locator("#report")).to_have_attribute("data-ended", "true")
    expect(part(page, "drawing")).to_have_attribute("data-computed", "19")
    expect(part(page, "progress").locator("progress")).to_be_hidden()
    summary = beside(lambda: Sweep.objects.get().summary)
    rows = part(page, "best").locator("tbody tr")
    assert [number(text) for text in rows.locator("td:nth-child(2)").all_text_contents()] == [
        row["params"]["fast"] for row in summary["best"]
    ]
    expect(part(page, "facts")).to_contain_text("Refused by the strategy1")
    folds = part(page, "folds").locator("tbody tr")
    assert [number(text) for text in folds.locator("td:nth-child(4)").all_text_contents()] == [
        fold["params"]["fast"] for fold in summary["walk_forward"]["folds"]
    ]
    expect(part(page, "walk").locator(".plot canvas").first).to_be_visible()
    pbo = 100 * summary["overfit"]["pbo"]["probability"]
    said = part(page, "overfit").locator("p").last
    expect(said).to_contain_text(re.compile(r"probability of backtest overfitting \(PBO\) is "))
    assert number(said.inner_text().split(" is ")[1].split(" %")[0]) == pytest.approx(pbo, abs=0.005)

    choosing_lists_combinations(page, summary)
    assert errors(visit) == []
    assert all(url.startswith((live_server.url + "/", "data:")) for url in visit.requests), visit.requests

    # On a phone in the dark, drawn again there.
    page.set_viewport_size({"width": 390, "height": 800})
    page.emulate_media(color_scheme="dark")
    wait_for_ground(page, dark=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    opened(visit, sweep)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator('[data-part="best"] a').first.click()
    expect(page.locator("#report")).to_have_attribute("data-state", "ready")
    page.get_by_role("link", name="The sweep that it is of").click()
    page.wait_for_url(f"**/backtests/sweeps/{sweep.pk}")
    assert errors(visit) == []


def errors(visit: Visit) -> list[str]:
    """What went wrong on a page, but for what Chromium says of how tests look at a canvas."""
    return [error for error in visit.errors if not error.startswith("Canvas2D:")]


def choosing_lists_combinations(page: Page, summary: dict[str, Any]) -> None:
    """Of a sweep over two parameters: by keys, by the pointer, and with other choices."""
    best = summary["best"][0]
    fast, slow = best["params"]["fast"], best["params"]["slow"]
    said, chosen = part(page, "drawing").locator("p"), part(page, "chosen")
    # The cells, with nothing among them but what they say: text, frames and ground come on top.
    assert page.evaluate(_COLOURS) > 15
    canvas = page.locator(".heatmap canvas")
    canvas.focus()
    for key in ("ArrowLeft",) * 5 + ("ArrowDown",) * 4:
        page.keyboard.press(key)
    expect(said).to_have_text(re.compile(r"fast 2, slow 10: Return -?\d"))
    page.keyboard.press("Enter")
    expect(chosen.get_by_role("heading")).to_have_text("fast 2, slow 10: 1 combination")
    row = beside(lambda: found_of(Sweep.objects.get()).row(0))
    assert (row["params"]["fast"], row["params"]["slow"]) == (2, 10)
    assert number(chosen.locator("tbody td").nth(2).inner_text()) == round(row["metrics"]["return_pct"], 2)

    # The other way round: the sides change places, and nothing is chosen any more.
    page.get_by_label("Across").select_option("slow")
    expect(page.get_by_label("Up")).to_have_value("fast")
    expect(said).to_have_text(re.compile(rf"^slow {slow}, fast {fast}: .*, the best$"))
    expect(chosen).to_be_hidden()
    page.get_by_label("Metric").select_option("Commissions")
    least = beside(lambda: np.nanmin(found_of(Sweep.objects.get()).metric("commissions")))
    expect(said).to_contain_text(f"Commissions {least:,.2f}, the best")
    box = canvas.bounding_box()
    assert box is not None
    canvas.click(position={"x": 70, "y": box["height"] - 45})
    expect(chosen.get_by_role("heading")).to_have_text("slow 10, fast 2: 1 combination")


def test_other_spaces_are_drawn_as_they_are(alice: Any, market: str, visit: Visit) -> None:
    line = asked(alice, market, space={"fast": [2, 3, 5, 8, 13]}, params={"slow": 30})
    beside(run_pending)
    page = opened(visit, line)
    bars = page.locator(".bars g")
    expect(bars).to_have_count(5)
    page.locator(".bars").focus()
    for key in ("ArrowLeft",) * 5 + ("ArrowRight", "Enter"):
        page.keyboard.press(key)
    chosen = part(page, "chosen").get_by_role("heading")
    expect(chosen).to_have_text("fast 3: 1 combination")
    bars.nth(4).click()
    expect(chosen).to_have_text("fast 13: 1 combination")

    # Three parameters, drawn at random: each cell is of a range, and of several combinations.
    space = {
        "fast": {"from": 2, "to": 60},
        "slow": {"from": 70, "to": 400},
        "direction": ["long", "long_short"],
    }
    beside(lambda: Sweep.objects.all().delete())
    drawn = asked(alice, market, params={}, space=space, method="random", samples=60, best=0)
    beside(run_pending)
    page = opened(visit, drawn)
    expect(part(page, "hint")).to_contain_text("put together in ranges")
    page.locator(".heatmap canvas").focus()
    page.keyboard.press("Enter")
    expect(chosen).to_have_text(re.compile(r"^fast from \d+ to \d+, slow from \d+ to \d+: \d+ combination"))
    page.get_by_label("Up").select_option("direction")
    page.get_by_label("Of several").select_option("the mean")
    expect(part(page, "drawing").locator("p")).to_have_text(re.compile(r"^fast \d+, direction long"))
    assert errors(visit) == []


def test_a_page_outlasts_a_server_that_fails_and_says_why_nothing_came(
    alice: Any, market: str, visit: Visit
) -> None:
    sweep = asked(alice, market)
    page = opened(visit, sweep)
    page.route("**/report.json", lambda route: route.fulfill(status=503))
    with page.expect_response(lambda response: response.status == 503):
        pass
    beside(lambda: delete_candles(instrument=instrument_get(market), start=START, end=END))
    beside(run_pending)
    page.unroute("**/report.json")
    expect(page.locator("#report")).to_have_attribute("data-ended", "true")
    expect(part(page, "notes")).to_contain_text("there are no bars")
    expect(part(page, "progress").locator("p")).to_contain_text("Failed: 0 of 19 combinations")
    expect(part(page, "progress").locator("p")).to_contain_text("1 failed")

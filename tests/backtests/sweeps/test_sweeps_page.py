"""The page of a sweep in a real browser, from its first moment to its end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Page, expect

from apps.backtests.models import Backtest, Sweep
from apps.tasks.testing import run_pending
from tests.backtests.report.looking import number, wait_for_ground
from tests.backtests.sweeps.conftest import DAYS, body, post, store
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


def run_some(count: int) -> None:
    with pytest.raises(RuntimeError, match="still due"):
        run_pending(limit=count)


def opened(visit: Visit, sweep: Sweep) -> Page:
    visit.page.goto(f"/backtests/sweeps/{sweep.pk}")
    expect(visit.page.locator("#report")).to_have_attribute("data-state", "ready")
    return visit.page


def part(page: Page, name: str) -> Any:
    return page.locator(f'[data-part="{name}"]')


def test_shots(alice: Any, market: str, visit: Visit, settings: Any) -> None:
    settings.BACKTESTS_SWEEP_CHUNK_WORK = 4 * DAYS * 24 * 25
    sweep = asked(
        alice,
        market,
        walk_forward=WALK,
        space={"fast": list(range(2, 20)), "slow": {"from": 10, "to": 40, "step": 2}},
    )
    page = opened(visit, sweep)
    page.screenshot(path="/tmp/sp_0.png", full_page=True)
    beside(lambda: run_some(4))
    page.wait_for_timeout(3500)
    page.screenshot(path="/tmp/sp_1.png", full_page=True)
    beside(run_pending)
    expect(page.locator("#report")).to_have_attribute("data-ended", "true")
    page.wait_for_timeout(1500)
    canvas = page.locator(".heatmap canvas")
    canvas.click(position={"x": 300, "y": 100})
    page.wait_for_timeout(500)
    page.screenshot(path="/tmp/sp_2.png", full_page=True)
    page.emulate_media(color_scheme="dark")
    page.get_by_label("Metric").select_option("Return")
    page.wait_for_timeout(500)
    page.screenshot(path="/tmp/sp_3.png", full_page=True)
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_timeout(500)
    page.screenshot(path="/tmp/sp_4.png", full_page=True)
    print("WIDTH", page.evaluate("document.documentElement.scrollWidth"))
    print("ERRORS", visit.errors)
    page.set_viewport_size({"width": 1280, "height": 800})
    line = asked(alice, market, space={"fast": list(range(2, 18))}, params={"slow": 30})
    beside(run_pending)
    page = opened(visit, line)
    expect(page.locator("#report")).to_have_attribute("data-ended", "true")
    page.wait_for_timeout(500)
    page.locator(".bars [data-place='3']").click()
    page.wait_for_timeout(500)
    page.screenshot(path="/tmp/sp_5.png", full_page=True)
    drawn = asked(
        alice,
        market,
        params={},
        method="random",
        samples=200,
        seed=3,
        space={
            "fast": {"from": 2, "to": 60},
            "slow": {"from": 10, "to": 200},
            "direction": ["long", "long_short"],
        },
    )
    beside(run_pending)
    page = opened(visit, drawn)
    page.emulate_media(color_scheme="light")
    page.wait_for_timeout(500)
    page.locator(".heatmap canvas").focus()
    page.keyboard.press("Enter")
    page.wait_for_timeout(500)
    page.screenshot(path="/tmp/sp_6.png", full_page=True)
    print("ERRORS", visit.errors)
    assert False

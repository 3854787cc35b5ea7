"""The chart page in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from django.utils import timezone
from playwright.sync_api import Page, Route, expect

from apps.candles.models import Instrument
from apps.candles.services import write_candles
from apps.candles.timeframes import minute_of, to_ms
from tests.browser import Visit, beside, needs_chromium, visiting
from tests.candles.helpers import MINUTE, Arrays, instrument, walk

pytestmark = needs_chromium

MINUTES = 2900

#: Whether the drawing's ground is dark, as JavaScript.
IS_DARK = """document.querySelector("#plot td:nth-child(2) canvas").getContext("2d")
    .getImageData(1, 1, 1, 1).data.slice(0, 3).every((value) => value < 50)"""


@pytest.fixture
def began() -> int:
    """When the candles begin, in milliseconds: the last of them is this minute's."""
    return to_ms(minute_of(timezone.now()) - timedelta(minutes=MINUTES - 1))


@pytest.fixture
def market(shared_candles: None, began: int) -> Instrument:
    market = instrument("BTC/USDT")
    write_candles(instrument=market, minutes=walk(MINUTES, start=began))
    return market


@pytest.fixture
def fresh(shared_candles: None) -> Instrument:
    return instrument("NEW/USDT")


@pytest.fixture
def swap(shared_candles: None) -> Instrument:
    names = {"exchange": "bybit", "symbol": "ETH/USDT:USDT", "base": "ETH", "quote": "USDT"}
    kind = Instrument.Kind.SWAP
    return Instrument.objects.create(**names, kind=kind, price_scale=2, volume_scale=3)


@pytest.fixture
def visit(shared_candles: None, live_server: Any) -> Iterator[Visit]:
    """Tests name it last: once there is a page, queries need `beside`."""
    with visiting(live_server.url, viewport={"width": 1280, "height": 720}) as visit:
        yield visit


def opened(visit: Visit, address: str, state: str = "ready") -> Page:
    visit.page.goto(address)
    expect(visit.page.locator("#chart")).to_have_attribute("data-state", state)
    return visit.page


def bars(page: Page, count: int | re.Pattern[str]) -> None:
    """Wait until so many bars are held."""
    wanted = count if isinstance(count, re.Pattern) else str(count)
    expect(page.locator("#chart")).to_have_attribute("data-bars", wanted)


def asked(visit: Visit) -> list[dict[str, str]]:
    """The parameters of every request for bars so far."""
    queries = [urlsplit(url) for url in visit.requests]
    return [
        {name: values[0] for name, values in parse_qs(query.query).items()}
        for query in queries
        if query.path == "/udf/history"
    ]


def painted(page: Page, top: float, bottom: float) -> tuple[int, int]:
    """How many greenish and reddish pixels the drawing has between two heights (0 is its top, 1 its foot)."""
    green, red = page.evaluate(
        """([top, bottom]) => {
            let green = 0, red = 0;
            for (const canvas of document.querySelectorAll("#plot td:nth-child(2) canvas")) {
                if (canvas.height < 100) continue;
                const { width, height } = canvas;
                const context = canvas.getContext("2d");
                const { data } = context.getImageData(0, height * top, width, height * (bottom - top));
                for (let i = 0; i < data.length; i += 4) {
                    if (data[i + 3] && data[i + 1] > data[i] + 25) green++;
                    if (data[i + 3] && data[i] > data[i + 1] + 25) red++;
                }
            }
            return [green, red];
        }""",
        [top, bottom],
    )
    return green, red


def legend(page: Page) -> dict[str, str]:
    names, values = page.locator("#legend dt"), page.locator("#legend dd")
    return dict(zip(names.all_text_contents(), values.all_text_contents(), strict=True))


def test_candles_and_volume_are_drawn_from_this_origin_alone(
    market: Instrument, live_server: Any, visit: Visit
) -> None:
    page = opened(visit, "/charts/binance/BTC/USDT?timeframe=1m")
    bars(page, 500)
    expect(page.get_by_role("heading", level=1)).to_contain_text("BTC/USDT")
    expect(page.get_by_role("link", name=re.compile("TradingView"))).to_be_visible()
    assert all(url.startswith((live_server.url + "/", "data:")) for url in visit.requests), visit.requests
    # Before the drawing is looked at: Chromium warns of how that is done.
    assert visit.errors == []
    assert min(painted(page, 0.1, 0.7)) > 200
    assert min(painted(page, 0.82, 1)) > 200


def test_the_legend_shows_the_newest_bar_and_the_one_below_the_pointer(
    market: Instrument, began: int, visit: Visit
) -> None:
    page = opened(visit, "/charts/binance/BTC/USDT?timeframe=1m")
    minutes = walk(MINUTES, start=began)
    newest = legend(page)
    assert newest["C"] == f"{minutes.close[-1] / 100:,.2f}"
    assert newest["V"] == f"{minutes.volume[-1] / 100_000:,.5f}".rstrip("0").rstrip(".")
    box = page.locator("#plot").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 300, box["y"] + 200)
    expect(page.locator("#legend dd").first).not_to_have_text(newest["Time"])
    shown = legend(page)
    ts = np.datetime64(shown["Time"]).astype("datetime64[ms]").astype(int)
    (at,) = np.flatnonzero(minutes.ts == ts)
    names = {"O": "open", "H": "high", "L": "low", "C": "close"}
    assert {name: shown[name] for name in names} == {
        name: f"{getattr(minutes, column)[at] / 100:,.2f}" for name, column in names.items()
    }


def test_another_timeframe_loads_other_bars_and_stands_in_the_address(
    market: Instrument, began: int, visit: Visit
) -> None:
    page = opened(visit, "/charts/binance/BTC/USDT")
    hours = len({ts // (60 * MINUTE) for ts in walk(MINUTES, start=began).ts})
    days = len({ts // (1440 * MINUTE) for ts in walk(MINUTES, start=began).ts})
    bars(page, hours)
    page.get_by_role("link", name="1d", exact=True).click()
    bars(page, days)
    assert page.url.endswith("?timeframe=1d")
    assert [query["resolution"] for query in asked(visit)] == ["60", "1D"]
    assert legend(page)["Time"].endswith("00:00")
    expect(page.locator("nav [aria-current]")).to_have_text("1d")
    page.go_back()
    bars(page, hours)
    expect(page.locator("nav [aria-current]")).to_have_text("1h")
    page.reload()
    bars(page, hours)
    assert visit.errors == []


def test_scrolling_left_loads_older_bars_and_keeps_the_place(market: Instrument, visit: Visit) -> None:
    page = opened(visit, "/charts/binance/BTC/USDT?timeframe=1m")
    bars(page, 500)
    newest = legend(page)["Time"]
    held: list[Route] = []
    page.route("**/udf/history*", lambda route: held.append(route))
    box = page.locator("#plot").bounding_box()
    assert box is not None
    # Far to the right: left of the first bar nothing is below the pointer.
    x, y = box["x"] + box["width"] - 200, box["y"] + 200
    page.mouse.move(x, y)
    # No further than needed: the drawing can be pushed away to the right until nothing is left of it.
    for _ in range(30):
        if held:
            break
        page.mouse.wheel(-200, 0)
        page.evaluate("() => new Promise(requestAnimationFrame)")
    assert held
    page.mouse.move(x + 1, y)
    expect(page.locator("#legend dd").first).not_to_have_text(newest)
    before = legend(page)["Time"]
    first = page.locator("#summary").text_content()
    for route in held:
        route.continue_()
    page.unroute("**/udf/history*")
    bars(page, re.compile(r"^[1-3]\d{3}$"))
    expect(page.locator("#summary")).not_to_have_text(first or "")
    page.mouse.move(x, y)
    page.mouse.move(x + 1, y)
    assert legend(page)["Time"] == before
    older = [int(query["to"]) for query in asked(visit) if query["countback"] == "500"]
    assert older == sorted(older, reverse=True)


def test_the_keyboard_scrolls_to_the_first_bar_there_is(market: Instrument, visit: Visit) -> None:
    page = opened(visit, "/charts/binance/BTC/USDT?timeframe=1m")
    page.locator("#plot").focus()
    for _ in range(MINUTES // 10):
        for _ in range(10):
            page.keyboard.press("ArrowLeft")
        if page.locator("#chart").get_attribute("data-bars") == str(MINUTES):
            break
    bars(page, MINUTES)
    expect(page.locator("#summary")).to_contain_text("the first there is")


def test_the_newest_bar_is_kept_up_to_date(market: Instrument, began: int, visit: Visit) -> None:
    page = opened(visit, "/charts/binance/BTC/USDT?timeframe=1m")
    price = 2_345_678
    values = {name: np.array([price]) for name in ("open", "high", "low", "close")}
    minute = Arrays(ts=np.array([began + MINUTES * MINUTE]), volume=np.array([100_000]), **values)
    beside(lambda: write_candles(instrument=market, minutes=minute))
    expect(page.locator("#legend")).to_contain_text("23,456.78")
    bars(page, 501)
    assert page.title().startswith("23,456.78 ")
    assert visit.errors == []


def test_an_instrument_without_candles_says_so_until_there_are_some(
    fresh: Instrument, began: int, visit: Visit
) -> None:
    page = opened(visit, "/charts/binance/NEW/USDT", "empty")
    expect(page.locator("#message")).to_contain_text("Nothing is stored")
    expect(page.locator("#retry")).to_be_hidden()
    beside(lambda: write_candles(instrument=fresh, minutes=walk(60, start=began)))
    expect(page.locator("#chart")).to_have_attribute("data-state", "ready")
    assert visit.errors == []


def test_a_failure_is_shown_and_can_be_tried_again(market: Instrument, visit: Visit) -> None:
    visit.page.route("**/udf/history*", lambda route: route.abort())
    page = opened(visit, "/charts/binance/BTC/USDT", "error")
    expect(page.locator("#message")).to_contain_text("the server cannot be reached")
    page.unroute("**/udf/history*")
    page.route("**/udf/history*", lambda route: route.fulfill(json={"s": "error", "errmsg": "out of ink"}))
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#message")).to_contain_text("out of ink")
    page.unroute("**/udf/history*")
    page.get_by_role("button", name="Try again").press("Enter")
    expect(page.locator("#chart")).to_have_attribute("data-state", "ready")
    expect(page.locator("#message")).to_be_hidden()


def test_candles_stay_when_they_cannot_be_kept_up_to_date(market: Instrument, visit: Visit) -> None:
    page = opened(visit, "/charts/binance/BTC/USDT")
    page.route("**/udf/history*", lambda route: route.fulfill(status=503))
    expect(page.locator("#summary")).to_have_text("Not up to date: the server answered 503.")
    expect(page.locator("#chart")).to_have_attribute("data-state", "ready")
    page.unroute("**/udf/history*")
    expect(page.locator("#summary")).to_contain_text("bars since")


def test_older_bars_that_could_not_be_loaded_come_later(market: Instrument, visit: Visit) -> None:
    page = opened(visit, "/charts/binance/BTC/USDT?timeframe=1m")
    page.route("**/udf/history*countback=500*", lambda route: route.abort())
    for _ in range(20):
        page.mouse.move(600, 300)
        page.mouse.wheel(-200, 0)
    expect(page.locator("#summary")).to_contain_text("Older bars could not be loaded")
    bars(page, 500)
    page.unroute("**/udf/history*countback=500*")
    bars(page, re.compile(r"^[1-3]\d{3}$"))


def test_another_symbol_is_found_by_keyboard_and_keeps_the_timeframe(
    market: Instrument, swap: Instrument, visit: Visit
) -> None:
    page = opened(visit, "/charts/binance/BTC/USDT?timeframe=5m")
    page.get_by_label("Find a symbol").press_sequentially("eth")
    expect(page.get_by_role("listitem")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/charts/bybit/ETH/USDT%3AUSDT?timeframe=5m")
    expect(page.get_by_role("heading", level=1)).to_contain_text("ETH/USDT:USDT")
    expect(page.locator("#chart")).to_have_attribute("data-state", "empty")


def test_an_unknown_symbol_has_a_page_that_helps_on(market: Instrument, visit: Visit) -> None:
    answer = visit.page.goto("/charts/binance/NONE/USDT")
    assert answer is not None
    assert answer.status == 404
    expect(visit.page.get_by_role("heading", level=1)).to_have_text("Unknown symbol")
    visit.page.get_by_label("Find a symbol").fill("btcusd")
    visit.page.get_by_role("link").filter(has_text="BTC/USDT").click()
    expect(visit.page.locator("#chart")).to_have_attribute("data-state", "ready")


def test_the_page_fits_and_follows_the_colour_scheme(market: Instrument, visit: Visit) -> None:
    page = visit.page
    for width, dark in ((1280, True), (390, False)):
        page.set_viewport_size({"width": width, "height": 720})
        page.emulate_media(color_scheme="dark" if dark else "light")
        opened(visit, "/charts/binance/BTC/USDT?timeframe=1m")
        bars(page, 500)
        assert page.evaluate(IS_DARK) == dark
        assert min(painted(page, 0.1, 0.7)) > 100
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("document.documentElement.scrollHeight") <= 720
        # And when it changes while the page is open.
        page.emulate_media(color_scheme="light" if dark else "dark")
        page.wait_for_function(f"(dark) => {IS_DARK} === dark", arg=not dark)

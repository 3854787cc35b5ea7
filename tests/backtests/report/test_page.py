"""The report's page in a real browser."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from playwright.sync_api import Page, expect

from apps.backtests import services
from apps.backtests.models import Backtest
from apps.backtests.report import access
from apps.backtests.services import backtest_share
from apps.candles.selectors import instrument_get
from apps.candles.services import write_candles
from apps.candles.storage.writer import delete_candles
from apps.tasks.testing import run_pending
from tests.backtests.report.looking import column, number, painted, wait_for_ground
from tests.backtests.report.running import finished, requested, trade_rows
from tests.browser import Visit, beside, needs_chromium, visiting
from tests.candles.helpers import instrument, walk

pytestmark = needs_chromium

MINUTES = 20_000
START = datetime(2026, 3, 1, tzinfo=UTC)
END = START + timedelta(minutes=MINUTES)
SOON = START + timedelta(minutes=100)


@pytest.fixture
def market(shared_candles: None) -> str:
    made = instrument("BTC/USDT")
    write_candles(instrument=made, minutes=walk(MINUTES, start=int(START.timestamp() * 1000), seed=3))
    return made.text


@pytest.fixture
def short(shared_candles: None) -> str:
    """A market for pages on which no report is looked at."""
    made = instrument("BTC/USDT")
    write_candles(instrument=made, minutes=walk(100, start=int(START.timestamp() * 1000)))
    return made.text


@pytest.fixture
def alice(committed: None) -> Any:
    return get_user_model().objects.create_user("alice")


@pytest.fixture
def backtest(alice: Any, market: str) -> Backtest:
    return finished(alice.pk, market, START, END)


@pytest.fixture
def session(alice: Any) -> str:
    client = Client()
    client.force_login(alice)
    return client.cookies["sessionid"].value


@pytest.fixture
def visit(session: str, live_server: Any) -> Iterator[Visit]:
    """Tests name it last: once there is a page, queries need `beside`."""
    with visiting(live_server.url, viewport={"width": 1280, "height": 900}) as visit:
        visit.page.context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
        yield visit


def opened(visit: Visit, address: str, state: str = "ready") -> Page:
    visit.page.goto(address)
    expect(visit.page.locator("#report")).to_have_attribute("data-state", state)
    return visit.page


def test_everything_is_drawn_from_this_origin_alone(
    backtest: Backtest, live_server: Any, visit: Visit
) -> None:
    begun = time.perf_counter()
    page = opened(visit, f"/backtests/{backtest.pk}")
    print(f"a report of {MINUTES:,} bars is there after {1000 * (time.perf_counter() - begun):.0f} ms")
    assert all(url.startswith((live_server.url + "/", "data:")) for url in visit.requests), visit.requests
    expect(page.get_by_role("heading", level=1)).to_have_text("Moving-average crossover")
    expect(page.locator("#about")).to_contain_text("binance:BTC/USDT 1m, 2026-03-01 to 2026-03-14")
    expect(page.get_by_role("link", name=re.compile("TradingView"))).to_be_visible()
    tiles = dict(
        zip(page.locator("dt").all_text_contents(), page.locator("dd").all_text_contents(), strict=True)
    )
    assert number(tiles["Trades"]) == backtest.result.metrics["n_trades"]
    assert number(tiles["Final equity"]) == round(backtest.result.metrics["final_equity"], 2)
    expect(page.locator('[data-part="chart"]')).to_have_attribute("data-marked", re.compile("^[1-9]"))
    for part in ("months", "histogram", "exits", "metrics", "settings", "identity"):
        expect(page.locator(f'[data-part="{part}"]')).to_be_visible()
    expect(page.locator('[data-part="band"]')).to_be_hidden()
    assert visit.errors == []
    # Before the drawing is looked at: Chromium warns of how that is done.
    assert painted(page) >= 3


def test_trades_are_sorted_filtered_and_turned_page_by_page(backtest: Backtest, visit: Visit) -> None:
    trades = beside(lambda: trade_rows(backtest))
    page = opened(visit, f"/backtests/{backtest.pk}")
    assert [number(text) for text in column(page, 1)] == list(range(1, 51))
    page.get_by_role("button", name="Return").click()
    expect(page.locator("th[aria-sort]")).to_have_text("Return")
    rising = [number(text) for text in column(page, 10)]
    assert rising == sorted(rising)
    assert rising[0] == pytest.approx(min(row["return_pct"] for row in trades), abs=0.005)
    page.get_by_role("button", name="Return").press("Enter")
    falling = [number(text) for text in column(page, 10)]
    assert falling == sorted(falling, reverse=True)
    status = page.locator('[data-part="trades"] p')
    expect(status).to_have_text(f"1 to 50 of {len(trades):,} trades.")
    page.get_by_role("button", name="Next").click()
    expect(status).to_have_text(f"51 to 100 of {len(trades):,} trades.")
    page.get_by_label("Outcome").select_option("loss")
    lost = sum(row["pnl"] < 0 for row in trades)
    expect(status).to_have_text(f"1 to 50 of {lost:,} trades that fit, of {len(trades):,}.")
    assert all(number(text) < 0 for text in column(page, 9))
    page.get_by_label("Side").select_option("short")
    expect(status).to_have_text("No trades.")
    page.get_by_label("Side").select_option("long")
    page.get_by_label("Left by").select_option("signal")
    expect(page.locator('[data-part="trades"] tbody tr')).to_have_count(50)
    for name in (
        "#",
        "Side",
        "Entered",
        "Left",
        "Held",
        "Size",
        "Entry price",
        "Exit price",
        "Costs",
        "Left by",
    ):
        page.get_by_role("button", name=name, exact=True).click()
        expect(page.locator("th[aria-sort]")).to_have_text(name)
    assert visit.errors == []


def test_a_trade_is_shown_on_finer_candles(backtest: Backtest, visit: Visit) -> None:
    page = opened(visit, f"/backtests/{backtest.pk}")
    chart = page.locator('[data-part="chart"]')
    expect(chart).to_have_attribute("data-bars", str(MINUTES // 4))
    page.get_by_role("button", name="Show trade 30 on the chart").press("Enter")
    expect(chart).to_have_attribute("data-trade", "29")
    expect(chart.locator(".words").first).to_contain_text("One candle is about 1 min.")
    (asked,) = [parse_qs(urlsplit(url).query) for url in visit.requests if "/udf/history" in url]
    entered = beside(lambda: trade_rows(backtest))[29]["entry_time"] / 1000
    assert asked["resolution"] == ["1"]
    assert int(asked["from"][0]) < entered < int(asked["to"][0])
    expect(page.locator("tr[aria-current]")).to_have_attribute("data-row", "29")
    page.get_by_role("button", name="Whole range").click()
    expect(chart).to_have_attribute("data-bars", str(MINUTES // 4))
    assert visit.errors == []


def test_zooming_by_keys_loads_finer_candles_and_back(backtest: Backtest, visit: Visit) -> None:
    page = opened(visit, f"/backtests/{backtest.pk}")
    chart = page.locator('[data-part="chart"]')
    page.locator(".plot").focus()
    for _ in range(12):
        page.keyboard.press("+")
    expect(chart.locator(".words").first).to_contain_text("One candle is about 1 min.")
    for _ in range(20):
        page.keyboard.press("-")
    expect(chart.locator(".words").first).to_contain_text("One candle is about 4 min.")
    assert visit.errors == []


def test_candles_that_cannot_be_loaded_leave_what_is_drawn(backtest: Backtest, visit: Visit) -> None:
    page = opened(visit, f"/backtests/{backtest.pk}")
    page.route("**/udf/history*", lambda route: route.fulfill(json={"s": "error", "errmsg": "out of ink"}))
    page.get_by_role("button", name="Show trade 5 on the chart").click()
    expect(page.locator(".words").first).to_contain_text("Finer candles could not be loaded: out of ink.")
    expect(page.locator('[data-part="chart"]')).to_have_attribute("data-bars", str(MINUTES // 4))
    assert visit.errors == []


@pytest.fixture
def two(alice: Any, market: str) -> Backtest:
    """Of two instruments, whose trades take turns in the list."""
    other = instrument("ETH/USDT")
    prices = walk(MINUTES, start=int(START.timestamp() * 1000), seed=4)
    write_candles(instrument=other, minutes=prices)
    asked = services.backtest_request(
        owner_id=alice.pk, instruments=[market, other.text], timeframe="1m", start=START, end=END,
        spec={"strategy": "sma_cross", "params": {"fast": 5, "slow": 20}, "sizing": {"value": 0.4}},
    )  # fmt: skip
    run_pending()
    return Backtest.objects.select_related("result").get(pk=asked.pk)


#: Holds back what candles the page asks for, until `letGo` lets them come, given up or not, and counts them.
_HOLD = """() => {
    const [real, held] = [window.fetch, []];
    window.fetch = (url, options) => String(url).includes("/udf/history")
        ? new Promise((answer) => held.push([url, answer])) : real(url, options);
    window.letGo = async () => {
        const all = held.splice(0);
        for (const [url, answer] of all) {
            const values = await (await real(url)).json();
            answer({ ok: true, json: async () => values });
        }
        await new Promise(requestAnimationFrame);
        return all.length;
    };
}"""


def test_candles_that_come_late_are_not_drawn_under_another_name(two: Backtest, visit: Visit) -> None:
    rows = beside(lambda: trade_rows(two))
    first, second = two.instruments
    page = opened(visit, f"/backtests/{two.pk}")
    chart, legend = page.locator('[data-part="chart"]'), page.locator(".legend").first
    words = page.locator(".words").first
    page.evaluate(_HOLD)

    def go(place: int) -> None:
        page.get_by_role("button", name=f"Show trade {place + 1} on the chart", exact=True).click()

    # Another instrument is chosen while candles of this one are on their way.
    go(next(row for row in range(50) if rows[row]["instrument"] == first))
    expect(words).to_contain_text("Loading candles…")
    page.get_by_label("Instrument").select_option(second)
    assert page.evaluate("window.letGo()") == 1
    expect(legend).to_contain_text(second)
    expect(chart).to_have_attribute("data-bars", str(MINUTES // 4))
    expect(words).not_to_contain_text("Loading candles…")

    # A trade of another instrument is chosen while candles of this one are, of a range that covers its own.
    wide, inside = next(
        (one, other)
        for one in range(50)
        for other in range(50)
        if (rows[one]["instrument"], rows[other]["instrument"]) == (first, second)
        and asked_for(rows[one])[0] <= asked_for(rows[other])[0]
        and asked_for(rows[one])[1] >= asked_for(rows[other])[1]
    )
    go(wide)
    expect(legend).to_contain_text(first)
    go(inside)
    assert page.evaluate("window.letGo()") == 2
    expect(words).to_contain_text("One candle is about 1 min.")
    expect(legend).to_contain_text(second)
    box = page.locator(".plot").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 400, box["y"] + 100)
    expect(legend.locator("span")).to_have_count(5)
    moment, *shown = legend.locator("span").all_text_contents()
    prices = walk(MINUTES, start=int(START.timestamp() * 1000), seed=4)
    (at,) = np.flatnonzero(prices.ts == np.datetime64(moment).astype("datetime64[ms]").astype(int))
    columns = (prices.open, prices.high, prices.low, prices.close)
    assert [number(text[1:]) for text in shown] == [column[at] / 100 for column in columns]
    assert visit.errors == []


def asked_for(trade: dict[str, Any]) -> tuple[int, int]:
    """The range of candles, in milliseconds, that the page asks for to show a trade."""
    length = trade["exit_time"] - trade["entry_time"]
    around = max(40 * 60_000, length)
    wide = length + 2 * around
    first = int(START.timestamp() * 1000)
    return max(first, trade["entry_time"] - around - wide), trade["exit_time"] + around + wide


def test_a_page_of_a_run_turns_into_its_report(alice: Any, short: str, visit: Visit) -> None:
    backtest = beside(lambda: requested(alice.pk, short, START, SOON))
    page = opened(visit, f"/backtests/{backtest.pk}", "loading")
    expect(page.locator("#waiting p")).to_have_text("Waiting for its turn…")
    expect(page.locator("progress")).to_be_visible()
    beside(run_pending)
    expect(page.locator("#report")).to_have_attribute("data-state", "ready")
    expect(page.locator("#waiting")).to_be_hidden()
    assert visit.errors == []


def test_a_page_that_waits_outlasts_a_server_that_fails(alice: Any, short: str, visit: Visit) -> None:
    backtest = beside(lambda: requested(alice.pk, short, START, SOON))
    page = opened(visit, f"/backtests/{backtest.pk}", "loading")
    expect(page.locator("progress")).to_be_visible()
    page.route("**/report.json", lambda route: route.fulfill(status=503))
    with page.expect_response(lambda response: response.status == 503):
        pass
    page.unroute("**/report.json")
    beside(run_pending)
    expect(page.locator("#report")).to_have_attribute("data-state", "ready")


def test_a_report_that_cannot_be_had_says_so(alice: Any, short: str, visit: Visit) -> None:
    backtest = beside(lambda: requested(alice.pk, short, START, SOON))
    visit.page.route("**/report.json", lambda route: route.abort())
    page = opened(visit, f"/backtests/{backtest.pk}", "error")
    expect(page.get_by_role("alert")).to_have_text("The server cannot be reached.")


def test_a_run_that_fails_says_why_on_its_page(alice: Any, short: str, visit: Visit) -> None:
    backtest = beside(lambda: requested(alice.pk, short, START, SOON))
    beside(lambda: delete_candles(instrument=instrument_get(short), start=START, end=SOON))
    beside(run_pending)
    page = opened(visit, f"/backtests/{backtest.pk}", "error")
    expect(page.get_by_role("alert")).to_contain_text(f"there are no bars of {short} to run on")


def test_trades_beyond_the_bound_are_loaded_when_asked_for(
    backtest: Backtest, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, pages = access.drawn_document, access.trade_columns
    monkeypatch.setattr(access, "drawn_document", lambda **given: whole(**given, trades=60))
    monkeypatch.setattr(access, "trade_columns", lambda table, offset: pages(table, offset, 60))
    total = backtest.result.trade_count
    page = opened(visit, f"/backtests/{backtest.pk}")
    status = page.locator('[data-part="trades"] p')
    expect(status).to_have_text(f"1 to 50 of 60 trades. These are the first 60 of {total}.")
    words = page.locator('[data-part="chart"] .words').first
    expect(words).to_contain_text("Of the 60 trades that are loaded, 60 of 60 trades in view are marked. ")
    page.locator(".plot").focus()
    for key in ("+",) * 4 + ("ArrowRight",) * 4:
        page.keyboard.press(key)
    expect(words).to_contain_text("Of the 60 trades that are loaded, none is in view. ")
    page.get_by_role("button", name="Load the next 60").click()
    expect(status).to_have_text(f"1 to 50 of 120 trades. These are the first 120 of {total}.")
    expect(words).to_contain_text("Of the 120 trades that are loaded, ")
    assert visit.errors == []


def test_the_page_fits_and_follows_the_colour_scheme(backtest: Backtest, visit: Visit) -> None:
    visit.page.emulate_media(color_scheme="dark")
    page = opened(visit, f"/backtests/{backtest.pk}")
    wait_for_ground(page, dark=True)
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    # And when it changes while the page is open.
    page.emulate_media(color_scheme="light")
    wait_for_ground(page, dark=False)
    # And one that is opened narrow, and in the light.
    opened(visit, f"/backtests/{backtest.pk}")
    wait_for_ground(page, dark=False)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    # Figures have little room, and some may be of any size.
    figures = page.evaluate("""async () => {
        const modules = [...document.querySelectorAll("link[rel=modulepreload]")].map((link) => link.href);
        const { ratio, share } = await import(modules.find((href) => /\\/format\\b/.test(href)));
        return [ratio(-164323118804.19), ratio(999999999), share(2.5e12)];
    }""")
    assert figures == ["-1.64e+11", "999,999,999.00", "2.50e+12 %"]


def test_runs_are_compared_side_by_side(backtest: Backtest, alice: Any, market: str, visit: Visit) -> None:
    other = beside(lambda: finished(alice.pk, market, START, END, params={"fast": 9, "slow": 30}))
    page = opened(visit, f"/backtests/compare?ids={backtest.pk},{other.pk}")
    expect(page.locator(".key li")).to_have_count(2)
    row = page.locator(".metrics tr").filter(has=page.get_by_role("rowheader", name="Trades", exact=True))
    counts = [number(text) for text in row.locator("td").all_text_contents()]
    assert counts == [one.result.metrics["n_trades"] for one in (backtest, other)]
    assert page.locator(".settings tbody th").all_text_contents() == ["params.fast", "params.slow"]
    expect(page.locator(".words")).to_have_text("The time that all of them cover: 2026-03-01 to 2026-03-14.")
    assert [number(text) for text in page.locator(".correlation td.number").all_text_contents()][::3] == [
        1,
        1,
    ]
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    page.locator(".metrics thead a").nth(1).click()
    page.wait_for_url(f"**/backtests/{other.pk}")
    assert visit.errors == []


def test_a_shared_report_is_whole_for_who_is_not_signed_in(
    backtest: Backtest, live_server: Any, market: str
) -> None:
    path = f"/backtests/shared/{backtest_share(backtest=backtest)}"
    with visiting(live_server.url, viewport={"width": 1280, "height": 900}) as visit:
        page = opened(visit, path)
        expect(page.locator('[data-part="chart"]')).to_have_attribute("data-marked", re.compile("^[1-9]"))
        expect(page.locator("summary").first).to_contain_text("no signal looks ahead")
        page.get_by_role("button", name="Show trade 30 on the chart").press("Enter")
        expect(page.locator(".words").first).to_contain_text("One candle is about 1 min.")
        assert visit.errors == []

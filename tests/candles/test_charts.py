"""The chart page as it is served: what it holds, and what it says of unknown instruments."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from apps.candles.models import Instrument
from apps.candles.timeframes import TIMEFRAMES
from tests.candles.helpers import instrument

pytestmark = pytest.mark.django_db

VENDOR = "candles/vendor/lightweight-charts"
SCRIPTS = ["main.js", "feed.js", "plot.js", "search.js", "series.js"]


@pytest.fixture
def market() -> Instrument:
    return instrument("BTC/USDT", price_scale=3, volume_scale=6)


def page(client: Client, address: str, status: int = 200, **more: Any) -> str:
    response = client.get(address, **more)
    assert response.status_code == status
    assert response["Content-Type"].startswith("text/html")
    return str(response.content.decode())


def file(name: str) -> str:
    path = finders.find(name)
    assert isinstance(path, str), name
    return Path(path).read_text(encoding="utf-8")


def test_the_page_tells_its_script_what_to_draw(client: Client, market: Instrument) -> None:
    content = page(client, "/charts/binance/BTC/USDT")
    for attribute in (
        'data-feed="/udf/"',
        'data-charts="/charts/"',
        'data-ticker="BINANCE:BTC/USDT"',
        'data-price-scale="3"',
        'data-volume-scale="6"',
    ):
        assert attribute in content
    assert re.findall(r'data-timeframe="(\w+)" data-resolution', content) == list(TIMEFRAMES)


@pytest.mark.parametrize("address", ["BINANCE/btc/usdt", "binance/BTC%2FUSDT", "Binance/Btc/Usdt"])
def test_the_case_of_the_address_does_not_matter(client: Client, market: Instrument, address: str) -> None:
    assert 'data-ticker="BINANCE:BTC/USDT"' in page(client, f"/charts/{address}")


def test_a_contract_has_its_colon_in_the_address(client: Client) -> None:
    Instrument.objects.create(
        exchange="bybit", symbol="BTC/USDT:USDT", base="BTC", quote="USDT", price_scale=1, volume_scale=3
    )
    assert 'data-ticker="BYBIT:BTC/USDT:USDT"' in page(client, "/charts/bybit/BTC/USDT:USDT")


@pytest.mark.parametrize(("asked", "current"), [("5m", "5m"), ("1w", "1w"), ("", "1h"), ("7m", "1h")])
def test_the_timeframe_is_that_of_the_address_if_there_is_one(
    client: Client, market: Instrument, asked: str, current: str
) -> None:
    content = page(client, "/charts/binance/BTC/USDT", data={"timeframe": asked})
    assert re.findall(r'data-timeframe="(\w+)"[^>]* aria-current="true"', content) == [current]


def test_the_page_needs_nothing_from_elsewhere_and_runs_no_script_of_its_own(
    client: Client, market: Instrument
) -> None:
    response = client.get("/charts/binance/BTC/USDT")
    policy = dict(part.strip().split(" ", 1) for part in response["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    content = response.content.decode()
    for tag in re.findall(r"<script[^>]*>.*?</script>", content, re.DOTALL):
        assert re.fullmatch(r'<script type="module" src="/static/[^"]+"></script>', tag), tag
    assert not re.search(r'\s(on\w+|style)="|<style', content)
    assert not re.search(r'(src|rel="stylesheet" href)="(https?:)?//', content)


@pytest.mark.parametrize("name", [f"candles/chart/{script}" for script in SCRIPTS])
def test_scripts_import_only_what_is_served_here(name: str) -> None:
    content = file(name)
    for imported in re.findall(r'from "([^"]+)"', content):
        assert imported.startswith(("./", "../"))
        assert (Path(finders.find(name)).parent / imported).is_file()  # type: ignore[arg-type]
    assert not re.search(r"\beval\(|innerHTML|https?:", content)


def test_the_drawing_library_comes_with_its_licence_and_is_named_on_the_page(
    client: Client, market: Instrument
) -> None:
    assert "Apache License" in file(f"{VENDOR}/LICENSE")
    notice = file(f"{VENDOR}/NOTICE")
    assert "TradingView Lightweight Charts™" in notice
    year = re.search(r"20\d\d", notice)
    assert year is not None
    content = page(client, "/charts/binance/BTC/USDT")
    assert f"Copyright © {year[0]} TradingView, Inc." in content
    assert '<a href="https://www.tradingview.com/"' in content


@pytest.mark.parametrize(
    "address",
    ["binance/NONE/USDT", "kraken/BTC/USDT", "binance/BTC/USDT/", "binance/%00", "x/<b>/y"],
)
def test_an_unknown_instrument_has_a_page_that_says_so(
    client: Client, market: Instrument, address: str
) -> None:
    content = page(client, f"/charts/{address}", 404)
    assert "Unknown symbol" in content
    assert 'type="search"' in content
    assert "<b>" not in content


def test_a_program_gets_a_problem_for_an_unknown_instrument(client: Client) -> None:
    response = client.get("/charts/binance/NONE/USDT", headers={"Accept": "application/json"})
    assert response.status_code == 404
    assert response["Content-Type"].startswith("application/problem+json")


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_the_page_is_only_read(client: Client, market: Instrument, method: str) -> None:
    assert getattr(client, method)("/charts/binance/BTC/USDT").status_code == 405

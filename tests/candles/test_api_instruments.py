"""The catalogue of instruments over HTTP."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from apps.candles.models import Instrument, Revision
from apps.candles.services import delete_candles, write_candles
from apps.candles.timeframes import to_datetime
from tests.candles.asking import INSTRUMENTS, problem_of
from tests.candles.helpers import MINUTE, MONDAY, utc, walk

pytestmark = pytest.mark.django_db


def market(exchange: str, symbol: str, **fields: Any) -> Instrument:
    base, _, rest = symbol.partition("/")
    values = {"price_scale": 2, "volume_scale": 5, "base": base, "quote": rest.partition(":")[0], **fields}
    return Instrument.objects.create(exchange=exchange, symbol=symbol, **values)


@pytest.fixture
def markets() -> list[Instrument]:
    """Five, in the order in which they are listed."""
    return [
        market("binance", "BTC/USDT", venue_id="BTCUSDT", followed=True),
        market(
            "binance", "BTC/USDT:USDT", venue_id="BTCUSDT_PERP", kind="swap", settle="USDT",
            contract_size=Decimal("0.001"), listed_at=utc(2020, 1, 2),
        ),
        market("binance", "ETH/BTC", venue_id="ETHBTC", active=False),
        market("kraken", "BTC/USD", venue_id="XXBTZUSD"),
        market("kraken", "SOL/EUR", venue_id="SOLEUR", followed=True),
    ]  # fmt: skip


def listed(client: Client, **query: str) -> list[str]:
    return [entry["id"] for entry in client.get(INSTRUMENTS, query).json()]


def paged(client: Client, query: dict[str, str]) -> list[list[str]]:
    """Page by page, as the links lead."""
    response = client.get(INSTRUMENTS, query)
    pages = [[entry["id"] for entry in response.json()]]
    while "Link" in response:
        address, _, relation = response["Link"].partition(">; ")
        assert relation == 'rel="next"'
        response = client.get(address.removeprefix("<http://testserver"))
        pages.append([entry["id"] for entry in response.json()])
    return pages


def test_instruments_are_described(client: Client, markets: list[Instrument]) -> None:
    write_candles(instrument=markets[1], minutes=walk(3000)[7:])
    response = client.get(INSTRUMENTS)
    body = response.json()
    assert len(body) == 5
    assert "Link" not in response
    assert body[1] == {
        "id": "binance:BTC/USDT:USDT",
        "exchange": "binance",
        "symbol": "BTC/USDT:USDT",
        "venue_id": "BTCUSDT_PERP",
        "base": "BTC",
        "quote": "USDT",
        "settle": "USDT",
        "kind": "swap",
        "price_scale": 2,
        "volume_scale": 5,
        "contract_size": "0.001000000000000000",
        "listed_at": "2020-01-02T00:00:00Z",
        "active": True,
        "followed": False,
        "first": f"{to_datetime(MONDAY + 7 * MINUTE):%Y-%m-%dT%H:%M:%SZ}",
        "last": f"{to_datetime(MONDAY + 2999 * MINUTE):%Y-%m-%dT%H:%M:%SZ}",
    }
    assert body[0]["first"] is body[0]["last"] is None
    for entry in body:
        assert client.get(f"{INSTRUMENTS}/{entry['id']}").json() == entry


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"exchange": "kraken"}, [3, 4]),
        ({"exchange": "Kraken"}, []),
        ({"kind": "swap"}, [1]),
        ({"kind": "spot", "base": "BTC"}, [0, 3]),
        ({"quote": "BTC"}, [2]),
        ({"active": "false"}, [2]),
        ({"active": "true", "exchange": "binance"}, [0, 1]),
        ({"followed": "true"}, [0, 4]),
        ({"followed": "false"}, [1, 2, 3]),
        ({"query": "btc"}, [0, 1, 2, 3]),
        ({"query": "BTC/US"}, [0, 1, 3]),
        ({"query": "btcusdt"}, [0, 1]),
        ({"query": "xxbt"}, [3]),
        ({"query": "eur"}, [4]),
        ({"query": "%"}, []),
        ({"query": "_perp"}, [1]),
        ({"query": "doge"}, []),
        ({"query": "btc", "followed": "true"}, [0]),
        ({"stored": "true"}, [1, 4]),
        ({"stored": "false"}, [0, 2, 3]),
        ({"stored": "true", "exchange": "kraken"}, [4]),
    ],
)
def test_instruments_can_be_searched_for(
    client: Client, markets: list[Instrument], query: dict[str, str], places: list[int]
) -> None:
    for place in (1, 3, 4):
        write_candles(instrument=markets[place], minutes=walk(3))
    # Of one nothing is left.
    delete_candles(instrument=markets[3], start=utc(2023, 1, 1), end=utc(2025, 1, 1))
    names = [markets[place].text for place in places]
    assert listed(client, **query) == names
    assert paged(client, {**query, "limit": "1"}) == ([[name] for name in names] or [[]])


def test_the_catalogue_comes_in_pages(client: Client) -> None:
    for number in range(25):
        market("binance", f"A{number:02}/USDT")
        market("bybit", f"A{number:02}/USDT")
    whole = listed(client)
    pages = paged(client, {"limit": "7", "query": "a"})
    found = [name for page in pages for name in page]
    assert [len(page) for page in pages] == [7] * 7 + [1]
    assert found == whole
    assert len(set(found)) == 50


def test_a_page_takes_two_queries_however_long_it_is(client: Client, django_assert_num_queries: Any) -> None:
    for number in range(150):
        write_candles(instrument=market("binance", f"A{number}/USDT"), minutes=walk(2))
    for limit in ("10", "100", "200"):
        with django_assert_num_queries(2, connection=connection):
            client.get(INSTRUMENTS, {"limit": limit})


def test_a_page_of_what_is_stored_is_found_in_few_queries_among_many_others(
    client: Client, django_assert_max_num_queries: Any
) -> None:
    fields = {"exchange": "binance", "base": "", "quote": "", "price_scale": 2, "volume_scale": 5}
    many = Instrument.objects.bulk_create(Instrument(symbol=f"A{n:04}/USDT", **fields) for n in range(2500))
    last = market("kraken", "BTC/USD")
    write_candles(instrument=last, minutes=walk(3))
    with django_assert_max_num_queries(2, connection=connection):
        assert listed(client, stored="true", limit="1") == [last.text]
    # Of others all was deleted.
    Revision.objects.bulk_create(Revision(instrument=one, month=utc(2024, 1, 1), token=1) for one in many)
    with django_assert_max_num_queries(8, connection=connection):
        assert listed(client, stored="true", limit="1") == [last.text]
    with django_assert_max_num_queries(2, connection=connection):
        assert listed(client, stored="false", limit="2") == [many[0].text, many[1].text]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"exchnage": "kraken"}, "exchnage"),
        ({"kind": "option"}, "kind"),
        ({"active": "perhaps"}, "active"),
        ({"stored": "2"}, "stored"),
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"query": "a\0b"}, "query"),
        ({"base": ""}, "base"),
    ],
)
def test_what_is_wrong_with_a_search_is_named(client: Client, query: dict[str, str], field: str) -> None:
    problem_of(client.get(INSTRUMENTS, query), 400, field)


@pytest.mark.parametrize(
    "name", ["binance:NONE/USDT", "BTCUSDT", "binance:BTC", "kraken:BTC/USDT", "binance:BTC/USDT/X", "%00"]
)
def test_an_unknown_instrument_is_not_found(client: Client, markets: list[Instrument], name: str) -> None:
    problem_of(client.get(f"{INSTRUMENTS}/{name}"), 404)


def test_instruments_cannot_be_written(staff: Client, markets: list[Instrument]) -> None:
    for path in (INSTRUMENTS, f"{INSTRUMENTS}/{markets[0].text}"):
        problem_of(staff.post(path, "{}", content_type="application/json"), 405)


def test_the_span_is_that_of_the_minutes(client: Client, markets: list[Instrument]) -> None:
    write_candles(instrument=markets[0], minutes=walk(100))
    write_candles(instrument=markets[0], minutes=walk(5, start=MONDAY + 100_000 * MINUTE))
    entry = client.get(f"{INSTRUMENTS}/{markets[0].text}").json()
    assert datetime.fromisoformat(entry["first"]) == to_datetime(MONDAY)
    assert datetime.fromisoformat(entry["last"]) == to_datetime(MONDAY + 100_004 * MINUTE)

"""The forms that bars are answered in, compressed and not."""

from __future__ import annotations

import csv
import gzip
import io
import json
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from django.test import Client

from apps.candles.models import Instrument
from apps.candles.services import write_candles
from apps.candles.sources.base import VALUES, Candles
from apps.candles.sources.timescale import TimescaleSource
from tests.candles.asking import CANDLES, problem_of
from tests.candles.helpers import MINUTE, MONDAY, instrument, utc, walk

pytestmark = pytest.mark.django_db

COLUMNS = ("ts", *VALUES)
TYPES = {
    "json": "application/json",
    "rows": "application/json",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
    "npz": "application/x-npz",
}


@pytest.fixture(scope="module")
def stored(for_all: Any) -> Instrument:
    # With so many decimals that hardly a price is a round number of anything.
    minutes = replace(walk(3000, gaps=0.1), price_scale=9, volume_scale=11)
    with for_all():
        market = instrument("BTC/USDT", price_scale=9, volume_scale=11)
        write_candles(instrument=market, minutes=minutes)
    return market


@pytest.fixture
def market(stored: Instrument) -> Instrument:
    return copy(stored)


@pytest.fixture
def query(market: Instrument) -> dict[str, Any]:
    return {
        "instrument": market.text,
        "timeframe": "5m",
        "start": "2024-01-01T00:00Z",
        "end": "2024-01-02T00:00Z",
    }


@pytest.fixture
def expected(market: Instrument) -> Candles:
    return TimescaleSource().load(market.text, "5m", utc(2024, 1, 1), utc(2024, 1, 2))


def body(response: Any) -> bytes:
    """The whole body, unpacked."""
    assert response.status_code == 200, response.content
    data: bytes = b"".join(response.streaming_content) if response.streaming else response.content
    return gzip.decompress(data) if response.headers.get("Content-Encoding") == "gzip" else data


def columns(form: str, data: bytes) -> dict[str, list[Any]]:
    """The columns of one instrument's bars in any form."""
    if form == "json":
        held = json.loads(data)
        return {name: held[name] for name in COLUMNS}
    if form == "rows":
        held = json.loads(data)
        assert held["columns"] == list(COLUMNS)
        return {name: [row[at] for row in held["rows"]] for at, name in enumerate(COLUMNS)}
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(data.decode())))
        ts = [int(np.datetime64(row["ts"].removesuffix("Z"), "ms").astype(int)) for row in rows]
        return {"ts": ts, **{name: [float(row[name]) for row in rows] for name in VALUES}}
    if form == "arrow":
        table = pa.ipc.open_stream(data).read_all()
        ts = table["ts"].cast(pa.int64()).to_pylist()
        return {"ts": ts, **{name: table[name].to_pylist() for name in VALUES}}
    arrays = np.load(io.BytesIO(data))
    return {name: arrays[name].tolist() for name in COLUMNS}


@pytest.mark.parametrize("form", TYPES)
@pytest.mark.parametrize("accepts", ["identity", "gzip, deflate"])
def test_every_form_holds_the_same_to_the_bit(
    client: Client, query: dict[str, Any], expected: Candles, form: str, accepts: str
) -> None:
    response = client.get(CANDLES, {**query, "format": form}, headers={"Accept-Encoding": accepts})
    assert response["Content-Type"] == TYPES[form]
    packed = accepts != "identity" and form in ("json", "rows", "csv")
    assert response.headers.get("Content-Encoding") == ("gzip" if packed else None)
    found = columns(form, body(response))
    for name in COLUMNS:
        assert found[name] == getattr(expected, name).tolist(), name


@pytest.mark.parametrize(("form", "media_type"), [item for item in TYPES.items() if item[0] != "rows"])
def test_accept_chooses_the_form(
    client: Client, query: dict[str, Any], expected: Candles, form: str, media_type: str
) -> None:
    for accept in (media_type, f"text/html, {media_type};q=0.5, */*;q=0.1", f"{media_type.upper()}"):
        response = client.get(CANDLES, query, headers={"Accept": accept})
        assert response["Content-Type"] == media_type
        assert columns(form, body(response))["close"] == expected.close.tolist()


@pytest.mark.parametrize("accept", ["*/*", "application/*", "application/json, text/csv;q=0.9", ""])
def test_json_is_for_who_does_not_mind(client: Client, query: dict[str, Any], accept: str) -> None:
    assert client.get(CANDLES, query, headers={"Accept": accept})["Content-Type"] == "application/json"


def test_what_is_not_to_be_had_is_refused(client: Client, query: dict[str, Any]) -> None:
    for accept in ("text/html", "image/*", "application/json;q=0", "nonsense"):
        response = client.get(CANDLES, query, headers={"Accept": accept})
        assert "text/csv" in problem_of(response, 406)["detail"]
        assert "Accept" in response["Vary"]


def test_the_parameter_wins_over_the_header(client: Client, query: dict[str, Any]) -> None:
    response = client.get(CANDLES, {**query, "format": "csv"}, headers={"Accept": "text/html"})
    assert response["Content-Type"] == "text/csv"


def test_problems_are_json_whatever_is_asked_for(client: Client, query: dict[str, Any]) -> None:
    query = {**query, "timeframe": "2h"}
    problem_of(client.get(CANDLES, {**query, "format": "arrow"}), 400, "timeframe")
    problem_of(client.get(CANDLES, query, headers={"Accept": "text/csv"}), 400, "timeframe")


def test_several_instruments_in_each_form(client: Client, market: Instrument, query: dict[str, Any]) -> None:
    other = instrument("AAA/USDT")
    write_candles(instrument=other, minutes=walk(600, seed=1))
    query["instrument"] = names = [market.text, other.text]
    columned = client.get(CANDLES, query).json()["series"]
    rowed = client.get(CANDLES, {**query, "format": "rows"}).json()["series"]
    assert [one["instrument"] for one in rowed] == names
    wanted = []
    for one, rows in zip(columned, rowed, strict=True):
        assert rows["rows"] == [list(row) for row in zip(*(one[name] for name in COLUMNS), strict=True)]
        wanted += [(one["instrument"], row[0], row[4]) for row in rows["rows"]]
    table = pa.ipc.open_stream(body(client.get(CANDLES, {**query, "format": "arrow"}))).read_all()
    ts = table["ts"].cast(pa.int64()).to_pylist()
    assert list(zip(table["instrument"].to_pylist(), ts, table["close"].to_pylist(), strict=True)) == wanted
    text = body(client.get(CANDLES, {**query, "format": "csv"})).decode()
    lines = list(csv.DictReader(io.StringIO(text)))
    assert [(row["instrument"], float(row["close"])) for row in lines] == [(n, c) for n, _, c in wanted]
    problem_of(client.get(CANDLES, {**query, "format": "npz"}), 400, "format")


@pytest.mark.parametrize("form", TYPES)
def test_no_bars_are_an_answer_in_every_form(client: Client, form: str) -> None:
    query = {"instrument": instrument().text, "timeframe": "1h", "format": form}
    assert columns(form, body(client.get(CANDLES, query))) == {name: [] for name in COLUMNS}


@pytest.mark.parametrize("form", ["csv", "arrow", "npz"])
@pytest.mark.parametrize("accepts", ["identity", "gzip"])
def test_many_bars_come_piece_by_piece(client: Client, settings: Any, form: str, accepts: str) -> None:
    market, minutes = instrument(), walk(25_000)
    write_candles(instrument=market, minutes=minutes)
    query = {"instrument": market.text, "timeframe": "1m", "start": str(MONDAY), "format": form}
    query["end"] = str(MONDAY + 25_000 * MINUTE)
    response = client.get(CANDLES, query, headers={"Accept-Encoding": accepts})
    assert response.streaming
    assert response.headers.get("Content-Encoding") == (
        "gzip" if accepts == "gzip" and form == "csv" else None
    )
    found = columns(form, body(response))
    assert found["ts"] == minutes.ts.tolist()
    assert found["close"] == (minutes.close / 100).tolist()
    problem_of(client.get(CANDLES, {**query, "format": "json"}), 400, "start")
    settings.CANDLES_MAX_FILE_BARS = 24_999
    problem_of(client.get(CANDLES, query), 400, "start")


@pytest.mark.parametrize("accepts", ["gzip;q=0", "gzip; q=0.000", "br", "identity;q=1, *;q=0", ""])
def test_who_does_not_take_gzip_gets_none(client: Client, query: dict[str, Any], accepts: str) -> None:
    response = client.get(CANDLES, query, headers={"Accept-Encoding": accepts})
    assert "Content-Encoding" not in response.headers
    assert response.json()["count"] == 288
    assert {"Accept", "Accept-Encoding"} <= {name.strip() for name in response["Vary"].split(",")}


def test_a_compressed_answer_says_its_length(client: Client, query: dict[str, Any]) -> None:
    plain = client.get(CANDLES, query)
    packed = client.get(CANDLES, query, headers={"Accept-Encoding": "br, gzip;q=0.5"})
    assert body(packed) == plain.content
    assert int(packed["Content-Length"]) == len(packed.content) < len(plain.content) / 2
    short = client.get(CANDLES, {**query, "limit": "1"}, headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in short.headers


def test_a_head_request_gets_the_headers(client: Client, query: dict[str, Any]) -> None:
    whole, head = client.get(CANDLES, query), client.head(CANDLES, query)
    assert (head.status_code, head.content) == (200, b"")
    assert head["ETag"] == whole["ETag"]
    assert head["Content-Length"] == whole["Content-Length"]

"""Minutes that staff upload."""

from __future__ import annotations

import gzip
import io
import json
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils.http import urlencode

from apps.candles.files import encode
from apps.candles.files.arrow import write_parquet
from apps.candles.models import Instrument, QuarantinedCandle
from apps.candles.services import write_candles
from apps.candles.sources.base import VALUES, Candles
from apps.candles.sources.timescale import TimescaleSource
from tests.candles.asking import CANDLES, problem_of
from tests.candles.helpers import MINUTE, MONDAY, assert_levels_match, instrument, stored, utc, walk

pytestmark = pytest.mark.django_db

COLUMNS = ("ts", *VALUES)
PARQUET, ARROW, NPZ = (
    "application/vnd.apache.parquet",
    "application/vnd.apache.arrow.stream",
    "application/x-npz",
)
JSON, CSV = "application/json", "text/csv"


@pytest.fixture
def market() -> Instrument:
    return instrument("BTC/USDT")


@pytest.fixture
def candles(market: Instrument) -> Candles:
    """Minutes as another installation has them."""
    other = instrument("OTHER/USDT")
    write_candles(instrument=other, minutes=walk(500, gaps=0.2))
    return TimescaleSource().load(other.text, "1m", utc(2024, 1, 1), utc(2024, 2, 1))


def send(client: Client, body: Any, kind: str = JSON, name: str = "binance:BTC/USDT", **query: str) -> Any:
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    address = f"{CANDLES}?{urlencode({'instrument': name, **query})}"
    return client.post(address, data, content_type=kind)


def report(response: Any) -> dict[str, Any]:
    assert response.status_code == 200, response.content
    body: dict[str, Any] = response.json()
    return body


def body_of(candles: Candles, kind: str) -> bytes:
    """These candles in one of the forms that are taken."""
    if kind == JSON:
        return json.dumps({name: getattr(candles, name).tolist() for name in COLUMNS}).encode()
    if kind == PARQUET:
        file = io.BytesIO()
        write_parquet(candles, file)
        return file.getvalue()
    return b"".join(encode([candles], {CSV: "csv", ARROW: "arrow", NPZ: "npz"}[kind]))


@pytest.mark.parametrize("kind", [JSON, CSV, ARROW, NPZ, PARQUET])
def test_minutes_are_stored_to_the_bit_whatever_they_come_in(
    staff: Client, market: Instrument, candles: Candles, kind: str
) -> None:
    data = body_of(candles, kind)
    counts = {"instrument": market.text, "dry_run": False, "rows": len(candles), "rejected": 0, "rejects": []}
    assert report(send(staff, data, kind)) == {
        **counts, "inserted": len(candles), "updated": 0, "unchanged": 0,
    }  # fmt: skip
    held = TimescaleSource().load(market.text, "1m", utc(2024, 1, 1), utc(2024, 2, 1))
    for name in COLUMNS:
        assert getattr(held, name).tolist() == getattr(candles, name).tolist(), name
    assert report(send(staff, data, kind)) == {
        **counts, "inserted": 0, "updated": 0, "unchanged": len(candles),
    }  # fmt: skip
    assert_levels_match(market)


@pytest.mark.parametrize("form", ["json", "rows", "csv", "arrow", "npz"])
def test_what_is_read_here_can_be_sent_back(staff: Client, market: Instrument, form: str) -> None:
    write_candles(instrument=market, minutes=walk(300, gaps=0.1))
    count = len(stored("candle_1m", market))
    query = {"instrument": market.text, "timeframe": "1m", "end": "2024-01-02T00:00Z", "format": form}
    answer = staff.get(CANDLES, query)
    sent = report(send(staff, answer.content, answer["Content-Type"]))
    assert (sent["rows"], sent["unchanged"]) == (count, count)


def test_changed_rows_are_replaced(staff: Client, market: Instrument) -> None:
    write_candles(instrument=market, minutes=walk(10))
    values = {name: [getattr(walk(10), name)[3] / 100] for name in ("open", "high", "low", "close")}
    body = {"ts": [MONDAY + 3 * MINUTE], **values, "volume": [77.5]}
    assert report(send(staff, body))["updated"] == 1
    assert stored("candle_1m", market)[MONDAY + 3 * MINUTE][-1] == 7_750_000
    assert_levels_match(market)


def test_decimals_are_kept_as_they_were_written_and_raise_the_scale(
    staff: Client, market: Instrument
) -> None:
    body = (
        f'{{"ts": [{MONDAY}], "open": [0.1000000000000001], "high": ["0.20"], "low": [1e-3],'
        f' "close": [0.1], "volume": [3]}}'
    )
    assert report(send(staff, body.encode()))["inserted"] == 1
    market.refresh_from_db()
    assert (market.price_scale, market.volume_scale) == (16, 5)
    row = [Decimal(value).scaleb(-16) for value in stored("candle_1m", market)[MONDAY][:4]]
    assert row == [Decimal(text) for text in ("0.1000000000000001", "0.2", "0.001", "0.1")]


def test_unsound_rows_are_told_and_the_others_stored(staff: Client, market: Instrument) -> None:
    now = MONDAY + 10 * MINUTE + 30_000
    rows: list[Any] = [
        [MONDAY, 1, 2, 1, 2, 5],
        [MONDAY + MINUTE, 1, 0.5, 1, 2, 5],
        [MONDAY + 30_000, 1, 2, 1, 2, 5],
        [MONDAY + 10 * MINUTE, 1, 2, 1, 2, 5],
        [MONDAY + 11 * MINUTE, 1, 2, 1, 2, 5],
        [MONDAY + 2 * MINUTE, 1, 2, 1, None, 5],
        [MONDAY + 3 * MINUTE, 1, 2, 1],
        "nonsense",
        [MONDAY + 4 * MINUTE, 1, 2, 1, 2, 5],
    ]
    with time_machine.travel(now / 1000, tick=False):
        found = report(send(staff, {"rows": rows}))
    assert (found["rows"], found["inserted"], found["rejected"]) == (9, 2, 7)
    assert [(one["place"], one["ts"], one["reason"]) for one in found["rejects"]] == [
        (1, MONDAY + MINUTE, "high_below_low"),
        (2, MONDAY + 30_000, "not_on_minute"),
        (3, MONDAY + 10 * MINUTE, "forming"),
        (4, MONDAY + 11 * MINUTE, "future"),
        (5, MONDAY + 2 * MINUTE, "not_a_number"),
        (6, MONDAY + 3 * MINUTE, "short_row"),
        (7, None, "short_row"),
    ]
    assert all(one["message"] for one in found["rejects"])
    assert set(stored("candle_1m", market)) == {MONDAY, MONDAY + 4 * MINUTE}


def test_a_hundred_rejected_rows_are_shown(staff: Client, market: Instrument) -> None:
    found = report(send(staff, {"rows": [[MONDAY + i, 1, 1, 1, 1, 1] for i in range(1, 151)]}))
    assert (found["rejected"], len(found["rejects"]), found["inserted"]) == (150, 100, 0)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"rows": [["\\u0000", "\\ud800", {"a": [1]}, null, 1e400, true]]}', JSON),
        (b"ts,open,high,low,close,volume\n1704067200000,1,1,1,1,1\n1704067260000,\xff\xfe,1,1,1,1\n", CSV),
    ],
)
def test_rejected_rows_are_quarantined_whatever_they_hold(
    staff: Client, market: Instrument, body: bytes, kind: str
) -> None:
    assert report(send(staff, body, kind, dry_run="true"))["rejected"] == 1
    assert QuarantinedCandle.objects.count() == 0
    for _ in range(2):
        found = report(send(staff, body, kind))
    held = QuarantinedCandle.objects.get()
    assert (held.instrument, held.origin, held.seen, held.run) == (market, "upload", 2, None)
    assert (held.reason, held.message) == (found["rejects"][0]["reason"], found["rejects"][0]["message"])


def test_a_dry_run_counts_and_stores_nothing(staff: Client, market: Instrument) -> None:
    write_candles(instrument=market, minutes=walk(10))
    before = stored("candle_1m", market)
    good = [[MONDAY + i * MINUTE, "1.001", 2, 1, 2, 5] for i in range(8, 20)]
    found = report(send(staff, {"rows": [*good, [MONDAY, 0, 0, 0, 0, 0]]}, dry_run="true"))
    assert found["dry_run"] is True
    assert (found["inserted"], found["updated"], found["rejected"]) == (10, 2, 1)
    assert stored("candle_1m", market) == before
    assert Instrument.objects.get(pk=market.pk).price_scale == 2


def test_text_of_other_shapes_is_understood(staff: Client, market: Instrument) -> None:
    lines = "Date;Open;High;Low;Close;Volume BTC;Volume USDT\n2024-01-01 00:00:00;1;2;1;2;5;9\n"
    assert report(send(staff, gzip.compress(lines.encode()), "text/csv; charset=utf-8"))["inserted"] == 1
    assert stored("candle_1m", market)[MONDAY] == (100, 200, 100, 200, 500_000)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{", JSON),
        (b"[1, 2]", JSON),
        (b"null", JSON),
        (b'{"ts": []}', JSON),
        (b"\xff\xfe", JSON),
        (b"[" * 100_000, JSON),
        (b'{"ts": [' + b"1" * 5000 + b"]}", JSON),
        (b"\n\n", CSV),
        (b"a,b,c\n1,2,3\n", CSV),
        (b"PAR1", CSV),
        (b"PAR1 and nothing", PARQUET),
        (b"open,high\n", PARQUET),
        (b"PK\x03\x04", NPZ),
        (b"nonsense", NPZ),
        (b"nonsense", ARROW),
        (b"\xff\xff\xff\xff\x10\x00\x00\x00", ARROW),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(
    staff: Client, market: Instrument, body: bytes, kind: str
) -> None:
    found = problem_of(send(staff, body, kind), 400)
    assert found["type"] == "/problems/malformed-body"
    assert "/tmp" not in found["detail"]


def test_a_body_that_is_not_there_is_refused(staff: Client, market: Instrument) -> None:
    for kind in (JSON, CSV, ARROW):
        address = f"{CANDLES}?{urlencode({'instrument': market.text})}"
        found = problem_of(staff.post(address, b"", content_type=kind, CONTENT_TYPE=kind), 400)
        assert "empty" in found["detail"]


def test_a_damaged_stream_of_any_length_is_refused(
    staff: Client, market: Instrument, candles: Candles
) -> None:
    for kind in (ARROW, PARQUET, NPZ):
        whole = body_of(candles, kind)
        for end in range(1, len(whole) - 20, len(whole) // 9):
            problem_of(send(staff, whole[:end], kind), 400)
    assert stored("candle_1m", market) == {}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"open": [1]}, "open"),
        ({"volume": 5}, "volume"),
        ({"instrument": "binance:ETH/USDT"}, "instrument"),
        ({"timeframe": "1h"}, "timeframe"),
    ],
)
def test_what_is_wrong_with_columns_is_named(
    staff: Client, market: Instrument, change: dict[str, Any], field: str
) -> None:
    body = {"ts": [MONDAY, MONDAY + MINUTE], **{name: [1, 1] for name in VALUES}, **change}
    problem_of(send(staff, body), 400, field)
    problem_of(send(staff, {"rows": {}}), 400, "rows")
    problem_of(send(staff, {"rows": [], "columns": ["ts"]}), 400, "columns")


def test_what_does_not_fit_is_refused_whole(staff: Client, market: Instrument, settings: Any) -> None:
    write_candles(instrument=market, minutes=walk(10))
    before = stored("candle_1m", market)
    late, price = MONDAY + 20 * MINUTE, "1.0000000000001"
    # At 13 decimals, what is stored does not stay below 2**53.
    fine = {"rows": [[late, price, price, price, price, 1]]}
    # Of so long ago nothing is kept.
    old = {"rows": [[late, 1, 1, 1, 1, 1], [MONDAY - 400 * 1440 * MINUTE, 1, 1, 1, 1, 1]]}
    for body in (fine, old):
        for query in ({}, {"dry_run": "true"}):
            with time_machine.travel(utc(2024, 1, 2), tick=False):
                problem_of(send(staff, body, **query), 400, "body")
        settings.CANDLES_RETENTION_DAYS = 300
    assert stored("candle_1m", market) == before
    assert Instrument.objects.get(pk=market.pk).price_scale == 2


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"instrument": "binance:NONE/USDT"}, "instrument"),
        ({"instrument": "BTCUSDT"}, "instrument"),
        ({"instrument": ""}, "instrument"),
        ({"dry_run": "perhaps"}, "dry_run"),
        ({"timeframe": "1m"}, "timeframe"),
    ],
)
def test_what_is_wrong_with_the_parameters_is_named(
    staff: Client, market: Instrument, query: dict[str, str], field: str
) -> None:
    address = f"{CANDLES}?{urlencode({'instrument': market.text, **query})}"
    problem_of(staff.post(address, b"{}", content_type=JSON), 400, field)
    problem_of(staff.post(CANDLES, b"{}", content_type=JSON), 400, "instrument")


def test_bodies_have_limits(staff: Client, market: Instrument, candles: Candles, settings: Any) -> None:
    for kind in (JSON, CSV, ARROW, NPZ, PARQUET):
        settings.CANDLES_MAX_UPLOAD_ROWS = len(candles) - 1
        found = problem_of(send(staff, body_of(candles, kind), kind), 413)
        assert found["type"] == "/problems/content-too-large"
    settings.CANDLES_MAX_UPLOAD_ROWS = len(candles)
    assert send(staff, body_of(candles, ARROW), ARROW, dry_run="1").status_code == 200
    settings.CANDLES_MAX_UPLOAD_MB = 1
    problem_of(send(staff, b" " * 1_000_001, CSV), 413)
    problem_of(send(staff, b" " * 1_000_000, CSV), 400)
    assert stored("candle_1m", market) == {}


def test_a_body_of_several_megabytes_is_judged_as_a_whole(staff: Client, market: Instrument) -> None:
    """Also by what rows far apart say of each other, and beyond what Django keeps in memory."""
    lines = [f"{MONDAY + i * MINUTE},1.25,2.5,1,2,5.12345,{'9' * 30}" for i in range(50_010)]
    lines.append(lines[3])
    data = "\n".join(["ts,open,high,low,close,volume,other", *lines]).encode()
    assert len(data) > 2_621_440
    found = report(send(staff, data, CSV, dry_run="true"))
    assert (found["rows"], found["inserted"], found["rejected"]) == (50_011, 50_010, 1)
    assert (found["rejects"][0]["place"], found["rejects"][0]["reason"]) == (50_010, "duplicate")


@pytest.mark.parametrize("kind", ["application/xml", "multipart/form-data; boundary=x", "nonsense"])
def test_other_bodies_are_not_taken(staff: Client, market: Instrument, kind: str) -> None:
    assert "text/csv" in problem_of(send(staff, b"x", kind), 415)["detail"]


def test_arrow_of_others_is_understood(staff: Client, market: Instrument) -> None:
    """Other units of time, narrower floats, decimals, compressed buffers, no rows."""
    ts = pa.array(np.array([MONDAY * 10**6, (MONDAY + MINUTE) * 10**6])).view(pa.timestamp("ns"))
    table = pa.table(
        {
            "Close": pa.array([Decimal("1.5"), Decimal("1.6")], pa.decimal128(10, 4)),
            "open_time": ts,
            "open": pa.array([1.25, 1.5], pa.float32()),
            "high": pa.array(["1.5", "1.7"]),
            "low": pa.array([1, 1], pa.int16()),
            "volume": pa.array([2, 3], pa.uint64()),
        }
    )
    for part, count in ((table, 2), (table.slice(0, 0), 0)):
        sink = io.BytesIO()
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
            writer.write_table(part)
        assert report(send(staff, sink.getvalue(), ARROW))["rows"] == count
    assert stored("candle_1m", market) == {
        MONDAY: (125, 150, 100, 150, 200_000),
        MONDAY + MINUTE: (150, 170, 100, 160, 300_000),
    }


def test_uploads_are_for_staff(client: Client, market: Instrument) -> None:
    problem_of(send(client, {"rows": []}), 401)
    client.force_login(get_user_model().objects.create_user("somebody"))
    problem_of(send(client, {"rows": [[MONDAY, 1, 1, 1, 1, 1]]}), 403)
    assert stored("candle_1m", market) == {}

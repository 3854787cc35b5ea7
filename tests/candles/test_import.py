"""Files become candles, exactly; what cannot be one is kept apart with its line and its reason."""

from __future__ import annotations

import gzip
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.candles.files import batches, text
from apps.candles.importing import FileForm, WrongFile, import_file
from apps.candles.models import Instrument, QuarantinedCandle
from apps.candles.quality import Reason
from apps.candles.services import write_candles
from tests.candles.commanding import candles, decimal, rejects, rows, write_csv
from tests.candles.conftest import SimulatedExchange
from tests.candles.helpers import (
    MINUTE,
    MONDAY,
    Arrays,
    assert_levels_match,
    instrument,
    stored,
    walk,
)

pytestmark = pytest.mark.django_db

TEXT = "binance:BTC/USDT"


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of some lines have several batches."""
    monkeypatch.setattr(text, "BATCH_ROWS", 10)
    monkeypatch.setattr(batches, "BATCH_ROWS", 10)


def test_a_csv_is_stored_exactly_with_every_level_and_the_same_again_changes_nothing(tmp_path: Path) -> None:
    market, minutes = instrument("BTC/USDT"), walk(3000, gaps=0.01)
    count = len(minutes.ts)
    path = write_csv(tmp_path / "minutes.csv", rows(minutes))
    said = candles("import", path, "--instrument", TEXT)
    assert (said.status, said.lines[0]) == (
        0,
        f"minutes.csv: {count:,} rows: {count:,} new, 0 changed, 0 as they were, 0 rejected",
    )
    assert stored("candle_1m", market) == minutes.bars()
    assert_levels_match(market)
    again = candles("import", path, "--instrument", TEXT)
    assert again.lines[0].endswith(f"0 new, 0 changed, {len(minutes.ts):,} as they were, 0 rejected")
    assert [one.name for one in tmp_path.iterdir()] == ["minutes.csv"]


@pytest.mark.parametrize("kind", ["csv", "npz", "parquet"])
def test_what_was_exported_comes_back_exactly(tmp_path: Path, kind: str) -> None:
    source, minutes = instrument("BTC/USDT", volume_scale=8), walk(4000, gaps=0.02)
    write_candles(instrument=source, minutes=minutes)
    path = tmp_path / f"minutes.{kind}"
    assert candles("export", TEXT, "--timeframe", "1m", "--to", path).status == 0
    other = instrument("COPY/USDT", price_scale=0, volume_scale=0)
    assert candles("import", path, "--instrument", other.text).status == 0
    other.refresh_from_db()
    assert (other.price_scale, other.volume_scale) == (2, 5)
    kept = stored("candle_1m", source)
    assert len(kept) == len(minutes.ts)
    copied = stored("candle_1m", other)
    assert {ts: (*bar[:4], bar[4] * 1000) for ts, bar in copied.items()} == kept
    assert_levels_match(other)


def test_binance_archives_in_milliseconds_and_microseconds_are_taken(tmp_path: Path) -> None:
    market, minutes = instrument("BTC/USDT", venue_id="BTCUSDT"), walk(120)
    lines = [[ts, *values, ts + MINUTE - 1, "1.0", 5, "0.5", "0.5", "0"] for ts, *values in rows(minutes)]
    for name, part, factor in (("01", lines[:60], 1), ("02", lines[60:], 1000)):
        entry = f"BTCUSDT-1m-2024-{name}.csv"
        scaled = [[ts * factor, *rest] for ts, *rest in part]
        body = "\n".join(",".join(map(str, line)) for line in scaled) + "\n"
        with zipfile.ZipFile(tmp_path / entry.replace(".csv", ".zip"), "w") as archive:
            archive.writestr(entry, body)
    files = sorted(tmp_path.iterdir())
    said = candles("import", *files, "--instrument", TEXT)
    assert (said.status, len(said.lines)) == (0, 2)
    assert stored("candle_1m", market) == minutes.bars()


@pytest.mark.parametrize(
    ("name", "venue_id", "words"),
    [
        ("ETHUSDT-1m-2024-01.csv", "BTCUSDT", "by its name it is of ETHUSDT"),
        ("ETHUSDT-1m-2024-01.csv", "", "by its name it is of ETHUSDT"),
        ("BTCUSDT-1h-2024-01-31.csv", "BTCUSDT", "bars of 1h, not of 1m"),
    ],
)
def test_an_archive_of_something_else_by_its_name_is_not_taken_unless_trusted(
    tmp_path: Path, name: str, venue_id: str, words: str
) -> None:
    market = instrument("BTC/USDT", venue_id=venue_id)
    path = write_csv(tmp_path / name, rows(walk(30)))
    said = candles("import", path, "--instrument", TEXT)
    assert (said.status, stored("candle_1m", market)) == (1, {})
    assert words in said.err
    assert candles("import", path, "--instrument", TEXT, "--trust").status == 0
    assert len(stored("candle_1m", market)) == 30


def test_bars_of_an_hour_are_not_taken_for_minutes(tmp_path: Path) -> None:
    market = instrument("BTC/USDT")
    hours = walk(48 * 60)[np.arange(0, 48 * 60, 60)]
    said = candles("import", write_csv(tmp_path / "x.csv", rows(hours)), "--instrument", TEXT)
    assert (said.status, stored("candle_1m", market)) == (1, {})
    assert "60 minutes apart" in said.err
    assert not QuarantinedCandle.objects.exists()


def test_rejected_rows_lie_beside_the_file_with_their_lines_and_in_quarantine(tmp_path: Path) -> None:
    market, lines = instrument("BTC/USDT"), rows(walk(6))
    lines[1][2] = "NaN"
    lines[3] = lines[3][:4]
    lines[4][3] = "-1"
    path = write_csv(tmp_path / "bad.csv", lines)
    said = candles("import", path, "--instrument", TEXT)
    assert said.status == 1
    assert said.error.startswith("3 rows rejected; the others are stored")
    found = rejects(path)
    assert [(line, reason) for line, reason, *_ in found] == [
        ("3", "not_finite"), ("5", "short_row"), ("6", "negative"),
    ]  # fmt: skip
    assert found[0][3:] == list(map(str, lines[1]))
    assert sorted(stored("candle_1m", market)) == [MONDAY, MONDAY + 2 * MINUTE, MONDAY + 5 * MINUTE]
    held = {one.reason: one for one in QuarantinedCandle.objects.all()}
    assert set(held) == {"not_finite", "short_row", "negative"}
    assert {one.origin for one in held.values()} == {"import:bad.csv"}
    assert held["not_finite"].row == lines[1]
    assert candles("import", path, "--instrument", TEXT, "--allow-rejects").status == 0
    assert {one.seen for one in QuarantinedCandle.objects.all()} == {2}


def test_rejects_of_an_archive_name_the_entry_and_are_gone_when_the_file_is_right(tmp_path: Path) -> None:
    instrument("BTC/USDT")
    path = tmp_path / "both.zip"

    def pack(high: str) -> None:
        lines = rows(walk(2))
        lines[1][2] = high
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.csv", "\n".join(",".join(map(str, line)) for line in lines))

    pack("oops")
    assert candles("import", path, "--instrument", TEXT).status == 1
    assert rejects(path)[0][:2] == ["a.csv:2", "not_a_number"]
    pack(rows(walk(2))[1][2])
    assert candles("import", path, "--instrument", TEXT).status == 0
    assert [one.name for one in tmp_path.iterdir()] == ["both.zip"]


def test_bytes_that_are_no_text_are_kept_in_the_rejects_and_can_be_quarantined(tmp_path: Path) -> None:
    market, lines = instrument("BTC/USDT"), rows(walk(3))
    path = tmp_path / os.fsdecode(b"caf\xe9.csv")
    body = "\n".join(",".join(map(str, line)) for line in lines).encode()
    path.write_bytes(body.replace(str(lines[1][2]).encode(), b"\xff\xfe", 1))
    said = candles("import", path, "--instrument", TEXT, "--allow-rejects")
    assert said.status == 0
    assert said.lines[0].encode().startswith("caf\ufffd.csv: 3 rows".encode())
    assert said.err.encode().startswith("caf\ufffd.csv: ".encode())
    assert len(stored("candle_1m", market)) == 2
    kept = path.with_name(f"{path.name}.rejects.csv").read_bytes()
    assert b"\xff\xfe" in kept
    held = QuarantinedCandle.objects.get()
    assert (held.reason, held.origin) == ("not_a_number", "import:caf\ufffd.csv")
    assert held.row[2] == "\ufffd\ufffd"


def test_a_dry_run_judges_and_stores_nothing(tmp_path: Path) -> None:
    market, lines = instrument("BTC/USDT"), rows(walk(5))
    lines[2][5] = "none"
    path = write_csv(tmp_path / "x.csv", lines)
    said = candles("import", path, "--instrument", TEXT, "--dry-run")
    assert said.status == 1
    assert said.lines[:2] == ["x.csv: 5 rows: 4 sound, 1 rejected", "  1 not_a_number"]
    assert rejects(path)[0][0] == "4"
    assert stored("candle_1m", market) == {}
    assert not QuarantinedCandle.objects.exists()


@pytest.mark.usefixtures("small_batches")
def test_a_minute_that_comes_again_much_later_is_told_and_the_first_stays(tmp_path: Path) -> None:
    market, minutes = instrument("BTC/USDT"), walk(40)
    lines = rows(minutes)
    other = [lines[3][0], *lines[4][1:]]
    path = write_csv(tmp_path / "x.csv", [*lines, lines[2], other, [lines[5][0], "x", *lines[5][2:]]])
    assert candles("import", path, "--instrument", TEXT).status == 1
    assert [tuple(line[:2]) for line in rejects(path)] == [
        ("42", "duplicate"), ("43", "conflict"), ("44", "not_a_number"),
    ]  # fmt: skip
    assert stored("candle_1m", market) == minutes.bars()
    assert {one.reason for one in QuarantinedCandle.objects.all()} == {
        "duplicate",
        "conflict",
        "not_a_number",
    }
    dry = candles("import", path, "--instrument", TEXT, "--dry-run")
    assert dry.lines[0] == "x.csv: 43 rows: 40 sound, 3 rejected"


@pytest.mark.usefixtures("small_batches")
def test_the_same_value_with_more_decimals_elsewhere_is_the_same(tmp_path: Path) -> None:
    instrument("BTC/USDT")
    lines = rows(walk(20))
    finer = [lines[15][0] + 10 * MINUTE, *["20000.123456"] * 4, "1.5"]
    path = write_csv(tmp_path / "x.csv", [*lines, [lines[0][0], *(f"{v}0" for v in lines[0][1:])], finer])
    candles("import", path, "--instrument", TEXT)
    assert [line[1] for line in rejects(path)] == ["duplicate"]


@pytest.mark.usefixtures("small_batches")
def test_an_import_that_broke_off_is_made_up_for_by_the_same_import(tmp_path: Path) -> None:
    market, minutes = instrument("BTC/USDT"), walk(100)
    path = write_csv(tmp_path / "x.csv", rows(minutes))

    def stop(done: int, total: int, unit: str) -> None:
        assert unit == "bytes"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_file(instrument=market, path=path, on_progress=stop)
    assert 0 < len(stored("candle_1m", market)) < 100
    result = import_file(instrument=market, path=path)
    assert result.unchanged > 0
    assert result.inserted + result.unchanged == 100
    assert stored("candle_1m", market) == minutes.bars()


def test_damage_in_the_middle_is_told_and_the_other_files_are_taken(tmp_path: Path) -> None:
    market, minutes = instrument("BTC/USDT"), walk(20)
    broken = tmp_path / "a.csv.gz"
    broken.write_bytes(gzip.compress(b"ts,open,high,low,close,volume\n" * 2000)[:-20])
    good = write_csv(tmp_path / "b.csv", rows(minutes))
    said = candles("import", broken, good, "--instrument", TEXT)
    assert (said.status, said.error) == (1, "FILE: 1 file not taken whole")
    assert "a.csv.gz: it is damaged" in said.err
    assert stored("candle_1m", market) == minutes.bars()


def test_what_a_file_leaves_open_is_settled_by_options(tmp_path: Path) -> None:
    market, minutes = instrument("BTC/USDT"), walk(30)
    lines = [[ts // 1000, *values[::-1]] for ts, *values in rows(minutes)]
    path = write_csv(tmp_path / "x.csv", lines, header="when,amount,last,bottom,top,first")
    unsettled = candles("import", path, "--instrument", TEXT)
    assert unsettled.status == 1
    assert "--columns settles it" in unsettled.err
    columns = "ts=when,open=first,high=top,low=bottom,close=last,volume=1"
    assert candles("import", path, "--instrument", TEXT, "--columns", columns).status == 0
    assert stored("candle_1m", market) == minutes.bars()


def test_an_unknown_instrument_is_made_of_what_is_said_with_the_scales_of_its_data(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "x.csv", rows(walk(30)))
    refused = candles("import", path, "--instrument", "coinbase:BTC/USD")
    assert (refused.status, Instrument.objects.count()) == (2, 0)
    assert "--create" in refused.error
    lacking = candles("import", path, "--instrument", "coinbase:BTC/USD", "--create", "--base", "BTC")
    assert (lacking.status, lacking.error) == (2, "--quote: --create needs it")
    made = ("--create", "--base", "BTC", "--quote", "USD")
    assert candles("import", path, "--instrument", "coinbase:BTC/USD", *made, "--dry-run").status == 0
    assert Instrument.objects.count() == 0
    assert candles("import", path, "--instrument", "coinbase:BTC/USD", *made).status == 0
    market = Instrument.objects.get()
    assert (market.text, market.base, market.quote, market.kind) == ("coinbase:BTC/USD", "BTC", "USD", "spot")
    assert (market.price_scale, market.volume_scale, market.followed) == (2, 5, False)
    assert stored("candle_1m", market) == walk(30).bars()


def test_a_file_that_cannot_be_read_makes_no_instrument_and_the_next_one_does(tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("nothing here\n")
    good = write_csv(tmp_path / "good.csv", rows(walk(3)))
    made = ("--instrument", "coinbase:BTC/USD", "--create", "--base", "BTC", "--quote", "USD")
    assert candles("import", bad, *made).status == 1
    assert Instrument.objects.count() == 0
    assert candles("import", bad, good, *made).status == 1
    assert len(stored("candle_1m", Instrument.objects.get())) == 3


def test_an_unknown_instrument_is_looked_up_at_its_exchange(
    tmp_path: Path, exchange: SimulatedExchange
) -> None:
    path = write_csv(tmp_path / "x.csv", rows(walk(3)))
    gone = candles("import", path, "--instrument", "binance:NONE/USDT", "--look-up")
    assert gone.status == 1
    assert gone.error.startswith("--look-up: ")
    assert candles("import", path, "--instrument", TEXT, "--look-up").status == 0
    market = Instrument.objects.get()
    assert (market.venue_id, market.price_scale, market.volume_scale) == ("BTCUSDT", 2, 5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--columns", "when=3"], "--columns"),
        (["--columns", "ts"], "--columns"),
        (["--columns", "ts=1,ts=2"], "ts is given twice"),
        (["--time-unit", "weeks"], "--time-unit"),
        (["--instrument", "BTCUSDT"], "--instrument"),
        (
            ["--create", "--base", "BTC", "--quote", "USD", "--instrument", "a1:A/B", "--kind", "swap"],
            "--settle",
        ),
    ],
)
def test_arguments_that_make_no_sense_are_named(tmp_path: Path, arguments: list[str], words: str) -> None:
    instrument("BTC/USDT")
    path = write_csv(tmp_path / "x.csv", rows(walk(3)))
    said = candles("import", path, "--instrument", TEXT, *arguments)
    assert said.status != 0
    assert words in said.error


def test_a_file_that_is_not_there_is_named_before_anything_is_done(tmp_path: Path) -> None:
    market = instrument("BTC/USDT")
    path = write_csv(tmp_path / "x.csv", rows(walk(3)))
    said = candles("import", path, tmp_path / "gone.csv", "--instrument", TEXT)
    assert said.status == 2
    assert "gone.csv" in said.error
    assert stored("candle_1m", market) == {}


def test_a_value_that_does_not_fit_what_is_stored_stops_the_file_and_leaves_the_store_whole(
    tmp_path: Path,
) -> None:
    market, minutes = instrument("BTC/USDT", price_scale=2), walk(10)
    write_candles(instrument=market, minutes=minutes)
    # Fits by itself, but not what is stored at so many decimals.
    path = write_csv(tmp_path / "x.csv", [[MONDAY + 20 * MINUTE, *["0.000000000000001"] * 4, "1"]])
    said = candles("import", path, "--instrument", TEXT)
    assert said.status == 1
    assert "x.csv: binance:BTC/USDT: the stored values do not fit" in said.err
    assert stored("candle_1m", market) == minutes.bars()


def test_a_form_that_is_said_is_insisted_on(tmp_path: Path) -> None:
    market = instrument("BTC/USDT")
    path = write_csv(tmp_path / "x.csv", rows(walk(3)))
    said = candles("import", path, "--instrument", TEXT, "--format", "parquet")
    assert (said.status, stored("candle_1m", market)) == (1, {})
    assert "it is csv, not parquet" in said.err
    result = import_file(instrument=market, path=path, form=FileForm(format="csv", time_unit="ms"))
    assert (result.inserted, result.rejected, result.rejects) == (3, {}, None)


def test_the_steps_of_a_few_rows_say_nothing(tmp_path: Path) -> None:
    market = instrument("BTC/USDT")
    hours = walk(24 * 60)[np.arange(0, 24 * 60, 60)]
    assert import_file(instrument=market, path=write_csv(tmp_path / "a.csv", rows(hours[:19]))).inserted == 19
    with pytest.raises(WrongFile):
        import_file(instrument=market, path=write_csv(tmp_path / "b.csv", rows(hours)))


def _arrays(values: list[tuple[int, int, int, int]], price_scale: int, volume_scale: int) -> Arrays:
    body = np.array(values, np.int64).reshape(-1, 4)
    low, high = body[:, :2].min(axis=1), body[:, :2].max(axis=1)
    return Arrays(
        ts=MONDAY + MINUTE * np.arange(len(body), dtype=np.int64),
        open=body[:, 0], close=body[:, 1],
        high=high + body[:, 2] % 7, low=np.maximum(1, low - body[:, 2] % 5),
        volume=body[:, 3], price_scale=price_scale, volume_scale=volume_scale,
    )  # fmt: skip


_price = st.integers(1, 2**50)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(
        st.tuples(_price, _price, st.integers(0, 99), st.integers(0, 2**40)), min_size=1, max_size=40
    ),
    price_scale=st.integers(0, 12),
    volume_scale=st.integers(0, 10),
)
def test_any_decimals_come_through_text_exactly(
    tmp_path: Path, values: list[Any], price_scale: int, volume_scale: int
) -> None:
    minutes = _arrays(values, price_scale, volume_scale)
    market = instrument(price_scale=price_scale, volume_scale=volume_scale)
    path = write_csv(tmp_path / "x.csv", rows(minutes))
    result = import_file(instrument=market, path=path)
    assert (result.inserted, result.rejected) == (len(values), {})
    assert stored("candle_1m", market) == minutes.bars()


def test_reasons_are_counted_by_name(tmp_path: Path) -> None:
    market, lines = instrument("BTC/USDT"), rows(walk(4))
    lines[0][2], lines[1][2] = "x", "y"
    result = import_file(instrument=market, path=write_csv(tmp_path / "x.csv", lines))
    assert result.rejected == {Reason.NOT_A_NUMBER: 2}
    assert decimal(12345, 2) == "123.45"


def test_volumes_that_no_bucket_can_hold_together_are_not_stored(tmp_path: Path) -> None:
    market = instrument("BTC/USDT", volume_scale=0)
    lines = [[MONDAY + n * MINUTE, "1", "1", "1", "1", str(2**52)] for n in range(2)]
    said = candles("import", write_csv(tmp_path / "x.csv", lines), "--instrument", TEXT)
    assert said.status == 1
    assert "the volume of a week does not fit" in said.err
    assert stored("candle_1m", market) == {}
    one = write_csv(tmp_path / "y.csv", lines[:1])
    assert candles("import", one, "--instrument", TEXT).status == 0
    # Each is small, and together with what is stored they are too much.
    more = [[MONDAY + (2 + n) * MINUTE, "1", "1", "1", "1", str(2**39)] for n in range(9000)]
    many = candles("import", write_csv(tmp_path / "z.csv", more), "--instrument", TEXT)
    assert (many.status, many.error.split(":")[0]) == (1, "binance")


def test_the_base_of_a_known_instrument_tells_which_volume_is_meant(tmp_path: Path) -> None:
    header = "ts,open,high,low,close,Volume {},Volume {}"
    for symbol, first, second, place in (
        ("ETH/BTC", "BTC", "ETH", 6),
        # What others are quoted in may be a base, too.
        ("EUR/BTC", "BTC", "EUR", 6),
        ("BTC/EUR", "BTC", "EUR", 5),
    ):
        market, minutes = instrument(symbol), walk(3)
        lines = [[*line, "7"] if place == 5 else [*line[:5], "7", line[5]] for line in rows(minutes)]
        path = write_csv(tmp_path / "x.csv", lines, header=header.format(first, second))
        assert candles("import", path, "--instrument", market.text).status == 0, symbol
        assert stored("candle_1m", market) == minutes.bars(), symbol


def test_a_base_that_no_volume_is_named_after_is_not_guessed(tmp_path: Path) -> None:
    """That of ETH/BTC in BTC is not what is stored; BTC may be called XBT, which has to be said."""
    for symbol, header in (("ETH/BTC", "Volume BTC"), ("BTC/USD", "Volume XBT")):
        market, minutes = instrument(symbol), walk(3)
        path = write_csv(tmp_path / "x.csv", rows(minutes), header=f"ts,open,high,low,close,{header}")
        said = candles("import", path, "--instrument", market.text)
        assert said.status == 1
        assert "no column is known to be volume" in said.err
        assert stored("candle_1m", market) == {}
    assert candles("import", path, "--instrument", market.text, "--base", "XBT").status == 0
    assert stored("candle_1m", market) == minutes.bars()


@pytest.mark.parametrize("known", [True, False])
def test_scales_that_were_taken_back_are_not_given_to_the_next_file(tmp_path: Path, known: bool) -> None:
    if known:
        instrument("BTC/USD", exchange="coinbase")
    brim = [[MONDAY + minute * MINUTE, *["1.123456"] * 4, "46000000000.00001"] for minute in (0, 1)]
    full, good = write_csv(tmp_path / "a.csv", brim), write_csv(tmp_path / "b.csv", rows(walk(3)))
    made = ("--instrument", "coinbase:BTC/USD", "--create", "--base", "BTC", "--quote", "USD")
    said = candles("import", full, good, *made)
    assert (said.status, said.error) == (1, "FILE: 1 file not taken whole")
    assert "a.csv: coinbase:BTC/USD: the volume of a week does not fit" in said.err
    market = Instrument.objects.get()
    assert (market.price_scale, market.volume_scale) == (2, 5)
    assert stored("candle_1m", market) == walk(3).bars()

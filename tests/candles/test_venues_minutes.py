"""Minutes of every exchange: its real ccxt client against its simulation."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

import pytest

from apps.candles.quality import Sifted, sift_minutes
from apps.candles.venues import (
    VENUES,
    Page,
    RawMinutes,
    VenueError,
    VenueRefused,
    VenueRubbish,
    VenueUnavailable,
    fetch_minutes,
    load_instrument,
    server_time,
)
from tests.candles.venuefaces import BINANCE, BYBIT, KRAKEN, MINUTE, Described, recent, times
from tests.stack.exchange_process import RunningExchange


class MinutesContract:
    """What holds of the minutes of each exchange."""

    face: ClassVar[Described]

    @pytest.fixture
    def client(self, clients: dict[str, Any]) -> Any:
        return clients[self.face.name]

    @pytest.mark.parametrize("minutes", [1, 700])
    def test_every_minute_of_a_range_comes_once_and_word_for_word(
        self, simulated: RunningExchange, client: Any, minutes: int
    ) -> None:
        start, end = recent(client, minutes)
        raw = fetch_minutes(client, self.face.symbol, start, end)
        assert times(raw) == list(range(start, end, MINUTE))
        assert (raw.symbol, raw.start_ms, raw.end_ms) == (self.face.symbol, start, end)
        assert [list(row) for row in raw] == self.face.own_rows(simulated, start, end)
        assert {type(value) for row in raw for value in row[1:]} == {str}

    @pytest.mark.parametrize(
        "number", ["0.1000000000000000055511151", "12345678901234567.89", "1e-7", '"7.10"']
    )
    def test_numbers_keep_their_digits_even_where_they_are_no_text(
        self, simulated: RunningExchange, client: Any, number: str
    ) -> None:
        start, _ = recent(client, 30)
        body = self.face.one_row(start, number)
        simulated.order({"path": self.face.candles, "kind": "status", "status": 200, "body": body})
        [row] = fetch_minutes(client, self.face.symbol, start, start + MINUTE)
        assert list(row) == [start, *[number.strip('"')] * 5]

    def test_the_gate_takes_every_minute_at_the_listed_scales(
        self, simulated: RunningExchange, client: Any
    ) -> None:
        start, end = recent(client, 300)
        for symbol in self.face.instruments:
            raw = fetch_minutes(client, symbol, start, end)
            sifted = self.sifted(client, symbol, raw)
            assert sifted.rejected == []
            minutes = sifted.minutes
            assert len(minutes) == len(raw) > 50
            scale = load_instrument(client, symbol).volume_scale
            assert sum(minutes.volume.tolist()) == sum(Decimal(row[5]) for row in raw) * 10**scale > 0

    def sifted(self, client: Any, symbol: str, raw: RawMinutes) -> Sifted:
        instrument = load_instrument(client, symbol)
        return sift_minutes(
            raw,
            start_ms=raw.start_ms,
            end_ms=raw.end_ms,
            now_ms=raw.now_ms,
            price_scale=instrument.price_scale,
            volume_scale=instrument.volume_scale,
        )

    def test_the_bounds_need_not_be_on_minutes(self, simulated: RunningExchange, client: Any) -> None:
        start, _ = recent(client, 30)
        raw = fetch_minutes(client, self.face.symbol, start - 1, start + MINUTE + 1)
        assert times(raw) == [start, start + MINUTE]
        raw = fetch_minutes(client, self.face.symbol, start + 1, start + 2 * MINUTE)
        assert times(raw) == [start + MINUTE]

    def test_an_empty_range_asks_the_exchange_for_no_minutes(
        self, simulated: RunningExchange, client: Any
    ) -> None:
        start, _ = recent(client, 30)
        before = simulated.count(self.face.candles)
        for end in (start, start - MINUTE):
            raw = fetch_minutes(client, self.face.symbol, start, end)
            assert (len(raw), raw.pages) == (0, 0)
        assert simulated.count(self.face.candles) == before

    def test_the_forming_minute_is_never_among_them(self, simulated: RunningExchange, client: Any) -> None:
        now = server_time(client)
        raw = fetch_minutes(client, self.face.symbol, now - 5 * MINUTE, now + 60 * MINUTE)
        assert raw.end_ms == raw.now_ms // MINUTE * MINUTE
        assert times(raw)[-1] == raw.end_ms - MINUTE
        # The caller's clock rules as well, though the exchange has more.
        raw = fetch_minutes(
            client, self.face.symbol, now - 10 * MINUTE, now + 60 * MINUTE, now_ms=now - 3 * MINUTE
        )
        assert times(raw)[-1] == (now - 3 * MINUTE) // MINUTE * MINUTE - MINUTE

    def test_progress_reaches_the_end_of_the_range(self, simulated: RunningExchange, client: Any) -> None:
        start, end = recent(client, 600)
        pages: list[Page] = []
        fetch_minutes(client, self.face.symbol, start, end, on_page=pages.append)
        assert pages == [Page(rows=600, reached_ms=end)]

    def test_an_outage_leaves_out_minutes_of_all_markets(
        self, simulated: RunningExchange, client: Any
    ) -> None:
        start, end = recent(client, 60)
        down, up = start + 20 * MINUTE, start + 45 * MINUTE
        simulated.interrupt({"exchange": self.face.name, "start": down, "end": up})
        for symbol in (self.face.symbol, self.face.other):
            raw = fetch_minutes(client, symbol, start, end)
            assert times(raw) == [*range(start, down, MINUTE), *range(up, end, MINUTE)]
            assert len(self.sifted(client, symbol, raw).minutes) == 35

    def test_an_outage_of_one_market_leaves_the_others_alone(
        self, simulated: RunningExchange, client: Any
    ) -> None:
        start, end = recent(client, 60)
        simulated.interrupt(
            {"exchange": self.face.name, "market": self.face.key, "start": start + MINUTE, "end": None}
        )
        assert times(fetch_minutes(client, self.face.symbol, start, end)) == [start]
        assert len(fetch_minutes(client, self.face.other, start, end)) == 60

    def test_a_range_without_a_bar_is_empty_and_no_error(
        self, simulated: RunningExchange, client: Any
    ) -> None:
        start, end = recent(client, 60)
        simulated.interrupt({"exchange": self.face.name, "start": 0})
        raw = fetch_minutes(client, self.face.symbol, start, end)
        assert (len(raw), raw.start_ms, raw.end_ms) == (0, start, end)

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [("html", VenueUnavailable), ("reset", VenueUnavailable), ("garbage", VenueRubbish)],
    )
    def test_a_failure_is_of_the_right_kind_and_passes(
        self, simulated: RunningExchange, client: Any, kind: str, expected: type[VenueError]
    ) -> None:
        start, end = recent(client, 60)
        simulated.order({"path": self.face.candles, "kind": kind})
        with pytest.raises(VenueError) as raised:
            fetch_minutes(client, self.face.symbol, start, end)
        assert type(raised.value) is expected, raised.value
        assert f"{self.face.name}: minutes of {self.face.symbol}" in str(raised.value)
        assert len(fetch_minutes(client, self.face.symbol, start, end)) == 60

    def test_an_unreadable_answer_never_passes_for_an_empty_one(
        self, simulated: RunningExchange, client: Any
    ) -> None:
        start, end = recent(client, 60)
        for body in ("", "null", "[", '"text"', "7", *self.face.no_rows):
            simulated.order({"path": self.face.candles, "kind": "status", "status": 200, "body": body})
            with pytest.raises(VenueRubbish):
                fetch_minutes(client, self.face.symbol, start, end)
            assert simulated.get("/_sim/faults") == []

    def test_a_time_that_is_none_is_rubbish(self, simulated: RunningExchange, client: Any) -> None:
        simulated.order({"path": "*", "kind": "status", "status": 200, "body": {}})
        with pytest.raises(VenueRubbish):
            server_time(client)

    @pytest.mark.parametrize(
        ("rows", "reason", "minute"),
        [
            ("nan", "close is not finite", 30),
            ("negative", "low is negative", 30),
            ("high_below_low", "has its high below its low", 30),
            ("duplicate", "comes twice", 30),
            ("wrong_types", "high is no number", 30),
            ("short_row", "has 3 of 6 columns", 30),
        ],
    )
    def test_a_rubbish_candle_is_rejected_and_the_others_are_not(
        self, simulated: RunningExchange, client: Any, rows: str, reason: str, minute: int
    ) -> None:
        end = server_time(client) // MINUTE * MINUTE
        start = end - 60 * MINUTE
        simulated.order({"path": self.face.candles, "kind": "rows", "rows": rows})
        raw = fetch_minutes(client, self.face.symbol, start, end, now_ms=end)
        sifted = self.sifted(client, self.face.symbol, raw)
        [rejected] = sifted.rejected
        assert reason in rejected.message
        # Where the answer has the forming minute too, its middle may be the next one.
        assert rejected.ts in (start + minute * MINUTE, start + (minute + 1) * MINUTE)
        assert len(sifted.minutes) == len(raw) - 1

    def test_a_candle_of_the_future_is_never_taken(self, simulated: RunningExchange, client: Any) -> None:
        start, end = recent(client, 60)
        simulated.order({"path": self.face.candles, "kind": "rows", "rows": "future"})
        raw = fetch_minutes(client, self.face.symbol, start, end)
        if VENUES[self.face.name].history is None:
            assert [one.reason for one in self.sifted(client, self.face.symbol, raw).rejected] == ["future"]
        else:  # its answers go beyond the range anyway, and what lies there is dropped
            assert times(raw) == list(range(start, end, MINUTE))


class TestBinance(MinutesContract):
    face = BINANCE


class TestBybit(MinutesContract):
    face = BYBIT

    def test_a_long_range_comes_in_windows_and_an_empty_one_is_not_the_end(
        self, simulated: RunningExchange, client: Any
    ) -> None:
        start = 1_700_000_040_000
        end = start + 3_500 * MINUTE
        down, up = start + 900 * MINUTE, start + 2_100 * MINUTE
        simulated.interrupt({"exchange": "bybit", "start": down, "end": up})
        pages: list[Page] = []
        raw = fetch_minutes(client, self.face.symbol, start, end, on_page=pages.append)
        assert times(raw) == [*range(start, down, MINUTE), *range(up, end, MINUTE)]
        assert [page.rows for page in pages] == [900, 900, 1800, 2300]
        assert [page.reached_ms for page in pages] == [
            start + count * MINUTE for count in (1000, 2000, 3000, 3500)
        ]
        assert raw.pages == 4

    def test_a_quiet_minute_has_a_bar_without_volume(self, simulated: RunningExchange, client: Any) -> None:
        start, end = recent(client, 700)
        raw = fetch_minutes(client, "BTC/USDC", start, end)
        assert len(raw) == 700
        assert 10 < sum(Decimal(row[5]) == 0 for row in raw) < 200


class TestKraken(MinutesContract):
    face = KRAKEN

    def test_the_whole_of_its_history_is_one_page(self, simulated: RunningExchange, client: Any) -> None:
        now = server_time(client)
        raw = fetch_minutes(client, self.face.symbol, now - 1_000 * MINUTE, now, now_ms=now)
        first = now // MINUTE * MINUTE - 719 * MINUTE
        # A minute may have ended since the exchange told its time.
        assert raw.start_ms in (first, first + MINUTE)
        assert times(raw) == list(range(raw.start_ms, raw.end_ms, MINUTE))
        assert raw.pages == 1

    def test_a_range_older_than_its_history_is_refused_for_good(
        self, simulated: RunningExchange, client: Any
    ) -> None:
        now = server_time(client)
        before = simulated.count(self.face.candles)
        with pytest.raises(VenueRefused, match="of the last 720 minutes only"):
            fetch_minutes(client, self.face.symbol, now - 2_000 * MINUTE, now - 721 * MINUTE, now_ms=now)
        assert simulated.count(self.face.candles) == before

    def test_what_a_clock_that_is_behind_hopes_for_is_not_claimed(
        self, simulated: RunningExchange, client: Any
    ) -> None:
        now = server_time(client) - 30 * MINUTE
        raw = fetch_minutes(client, self.face.symbol, now - 1_000 * MINUTE, now, now_ms=now)
        assert times(raw) == list(range(raw.start_ms, raw.end_ms, MINUTE))
        assert 688 <= len(raw) <= 690

    def test_an_old_bar_that_is_always_sent_is_neither_taken_nor_an_error(
        self, simulated: RunningExchange, client: Any
    ) -> None:
        start, end = recent(client, 60)
        simulated.interrupt({"exchange": "kraken", "start": start - 60 * MINUTE})
        raw = fetch_minutes(client, self.face.symbol, start, end)
        assert (len(raw), raw.pages, raw.start_ms, raw.end_ms) == (0, 1, start, end)
        answer = simulated.get(self.face.candles, pair="XBTUSD", since=start // 1000)
        assert [row[0] * 1000 for row in answer["result"]["XXBTZUSD"]] == [start - 61 * MINUTE]

    def test_a_thin_market_has_no_bar_for_a_quiet_minute_and_costs_one_request(
        self, simulated: RunningExchange, client: Any
    ) -> None:
        start, end = recent(client, 600)
        raw = fetch_minutes(client, "ADA/ETH", start, end)
        assert (raw.pages, raw.start_ms, raw.end_ms) == (1, start, end)
        assert 100 < len(raw) < 400
        assert len(self.sifted(client, "ADA/ETH", raw).minutes) == len(raw)
        assert all(Decimal(row[5]) > 0 for row in raw)
        assert len(fetch_minutes(client, "BTC/USDT", start, end)) == 600

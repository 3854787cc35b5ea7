"""The demo's main job, done from outside: an HTTP client of the running product.

Ingest minutes of two instruments, read candles back at several timeframes, run a backtest, show
its result, its task's history and the e-mail that announced it, and trade on a signal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

from apps.stack import smtp
from apps.stack.client import Client, RequestFailed
from apps.stack.toursettings import TourFailed, TourSettings
from apps.stack.trading_tour import trade

_INSTRUMENTS = ("BTC/USDT", "ETH/USDT")
_PATIENCE = 300.0
_POLL = 0.2
#: Seconds between two progress lines.
_REPORT_EVERY = 1.0
_BACKTEST = {
    "timeframe": "1h",
    "strategy": "sma_cross",
    "params": {"fast": 10, "slow": 30, "direction": "long_short"},
    "cash": 10_000,
    "costs": {"maker": 0.001, "taker": 0.001, "slippage": 0.0002},
    # A file may lack minutes that no exchange has.
    "missing": "ignore",
}
_SHOWN_METRICS = (
    "final_equity", "return_pct", "buy_hold_return_pct", "max_drawdown_pct", "sharpe", "sortino",
    "n_trades", "win_rate_pct", "profit_factor", "exposure_pct", "commissions",
)  # fmt: skip


_VALUES = ("open", "high", "low", "close", "volume")


def run(settings: TourSettings) -> int:
    """Do it all; the exit status. What failed is said, not raised."""
    tour = _Tour(settings)
    try:
        tour.run()
    except (TourFailed, RequestFailed) as exc:
        settings.say(f"FAILED: {exc}")
        return 1
    return 0


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _utc(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, tz=UTC)


def _in_words(value: float | int | None) -> str:
    if value is None:
        return "undefined for this run"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def _text_of(mail: EmailMessage) -> str:
    """The part of a mail that is plain text."""
    part = mail.get_body(("plain",))
    return "" if part is None else str(part.get_content())


class _Tour:
    def __init__(self, settings: TourSettings) -> None:
        self._settings = settings
        self._say = settings.say
        self._client = Client(settings.base_url)
        self._times: list[tuple[str, float]] = []

    def run(self) -> None:
        """The steps, in order. Raises `TourFailed` and `RequestFailed`."""
        self._client.sign_in(self._settings.admin_username, self._settings.admin_password)
        start, end = self._range()
        with self._step("ingest through ccxt, with roll-ups"):
            self._ingest(start, end)
        with self._step("read candles over HTTP"):
            self._read(start, end)
        with self._step("backtest in the worker"):
            backtest = self._backtest(start, end)
        self._show_result(backtest)
        computed = self._computed(backtest)
        self._show_history(computed["task_run"])
        with self._step("e-mail"):
            self._show_mail(computed)
        if self._settings.exchange_account is not None:
            with self._step("signal, order, verified fill"):
                trade(self._client, self._settings.exchange_account, say=self._say, wait=self._wait)
        self._say("time per step:")
        for name, seconds in self._times:
            self._say(f"  {name:<38} {seconds:6.1f} s")
        self._say("done: candles in, backtest out, a signal traded, every step an event")

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._times.append((name, time.monotonic() - began))

    def _wait(self, look: Callable[[], Any], *, what: str) -> Any:
        deadline = time.monotonic() + _PATIENCE
        while True:
            found = look()
            if found is not None:
                return found
            if time.monotonic() > deadline:
                raise TourFailed(f"{what} took more than {_PATIENCE:.0f} s")
            time.sleep(_POLL)

    def _range(self) -> tuple[datetime, datetime]:
        """The replayed range where a file is replayed, else the last whole days."""
        if self._settings.candles_file is not None:
            known = Client(self._settings.exchange_url).get("/_sim/info")["symbols"]
            for symbol, entry in known.items():
                if entry["source"] == "replay":
                    self._say(f"the exchange replays {self._settings.candles_file.name} as {symbol}")
                    return _utc(entry["first"]), _utc(entry["last"]) + timedelta(minutes=1)
            raise TourFailed("the exchange replays nothing")
        end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return end - timedelta(days=self._settings.days), end

    def _ingest(self, start: datetime, end: datetime) -> None:
        minutes = (end - start) // timedelta(minutes=1)
        self._say(f"ingesting {minutes:,} minutes of {' and '.join(_INSTRUMENTS)}, {start:%F} to {end:%F}")
        bodies = [
            {"instrument": f"binance:{symbol}", "start": start.isoformat(), "end": end.isoformat()}
            for symbol in _INSTRUMENTS
        ]
        urls = [self._client.post("/api/v1/backfills", body)["url"] for body in bodies]
        reported, troubles = time.monotonic(), set[str]()

        def look() -> list[dict[str, Any]] | None:
            nonlocal reported
            found = [self._client.get(url) for url in urls]
            for one in found:
                if one["state"] in ("failed", "cancelled"):
                    reasons = "; ".join(error["message"] for error in one["errors"])
                    raise TourFailed(f"the backfill of {one['instrument']} {one['state']}: {reasons}")
                for trouble in {error["message"] for error in one["errors"]} - troubles:
                    troubles.add(trouble)
                    self._say(f"  {one['instrument']}: an attempt failed, another follows: {trouble}")
            if all(one["state"] == "succeeded" for one in found):
                return found
            if time.monotonic() - reported > _REPORT_EVERY:
                reported = time.monotonic()
                parts = (
                    f"{one['instrument']} {100 * one['progress']:.0f} %"
                    f" ({one['chunks_done']}/{one['chunks_total'] or '?'} chunks)"
                    for one in found
                )
                self._say("  " + ", ".join(parts))
            return None

        for one in self._wait(look, what="ingestion"):
            self._say(f"  {one['instrument']}: {one['rows']:,} minutes stored")

    def _read(self, start: datetime, end: datetime) -> None:
        for timeframe, back in (("1m", timedelta(hours=12)), ("1h", None), ("1d", None)):
            begin = max(start, end - back) if back else start
            for symbol in _INSTRUMENTS:
                answer = self._client.get(
                    "/api/v1/candles",
                    instrument=f"binance:{symbol}",
                    timeframe=timeframe,
                    start=str(_ms(begin)),
                    end=str(_ms(end)),
                )
                if not answer["count"]:
                    raise TourFailed(f"there are no {timeframe} candles of {symbol}")
                at = f"{_utc(answer['ts'][-1]):%F %H:%M}"
                last = " ".join(f"{name[0]} {answer[name][-1]:.10g}" for name in _VALUES)
                self._say(f"  {symbol} {timeframe:>2}: {answer['count']:>5,} bars; {at} {last}")

    def _backtest(self, start: datetime, end: datetime) -> dict[str, Any]:
        body = {
            **_BACKTEST,
            "instrument": f"binance:{_INSTRUMENTS[0]}",
            "start": start.isoformat(),
            "end": end.isoformat(),
        }
        submitted = self._client.post("/api/v1/backtests", body)
        self._say(f"backtest submitted: {submitted['url']} ({submitted['state']})")

        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self._client.get(submitted["url"])
            if found["state"] in ("dead", "cancelled"):
                raise TourFailed(f"the backtest is {found['state']}: {found['error']}")
            return found if found["result"] is not None else None

        finished: dict[str, Any] = self._wait(look, what="the backtest")
        return finished

    def _computed(self, backtest: dict[str, Any]) -> dict[str, Any]:
        """The backtest whose run computed the result: this one, or one of an earlier start."""
        if not backtest["reused"]:
            return backtest
        self._say("the result of an earlier start is stored, and the candles are the same: it is reused")
        same = ("spec_hash", "instruments", "timeframe", "start", "end")
        for one in self._client.get("/api/v1/backtests", state="succeeded", limit="200"):
            if one["task_run"] and all(one[name] == backtest[name] for name in same):
                found: dict[str, Any] = one
                return found
        raise TourFailed("the backtest that computed the result is gone")

    def _show_result(self, backtest: dict[str, Any]) -> None:
        result, spec = backtest["result"], backtest["spec"]
        self._say(
            f"{spec['strategy']} {spec['params']} on {backtest['instrument']} {backtest['timeframe']},"
            f" {result['bars']:,} bars, {result['trade_count']} trades:"
        )
        for name in _SHOWN_METRICS:
            value = result["metrics"][name]
            self._say(f"  {name:<22} {_in_words(value)}")
        self._say(f"  result {result['fingerprint'][:16]}, of data {result['data_fingerprint'][:16]}")
        self._say(f"  report {backtest['report_url']}")

    def _show_history(self, run_id: str) -> None:
        run = self._client.get(f"/api/v1/tasks/{run_id}")
        self._say(f"history of task {run['task']} {run['id']}:")
        for event in run["events"]:
            since = "" if event["elapsed"] is None else f"+{1000 * event['elapsed']:.0f} ms"
            by = event["meta"].get("worker") or event["meta"].get("actor", "")
            self._say(f"  {event['version']}  {event['type']:<18} {since:>10}  {by}")

    def _show_mail(self, backtest: dict[str, Any]) -> None:
        folder = self._settings.mail_folder
        if folder is None:
            self._say("the e-mail went to the server that EMAIL_URL names")
            return

        def look() -> EmailMessage | None:
            for mail in smtp.mails(folder):
                if backtest["id"] in _text_of(mail):
                    return mail
            return None

        mail = self._wait(look, what="the e-mail")
        self._say(f"e-mail to {mail['To']}: {mail['Subject']}")
        for line in _text_of(mail).strip().splitlines():
            self._say(f"  | {line}")

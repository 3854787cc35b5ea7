"""The exchange's books in SQLite: accounts, balances, orders and trades."""

# ruff: noqa: S608  (what is put into statements are names of our own; values are bound)

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from apps.stack.exchange.amounts import parsed, printed
from apps.stack.exchange.entries import Account, Balance, Order, Resting, Trade
from apps.stack.exchange.errors import BadFile

_OPEN = "status IN ('NEW', 'PARTIALLY_FILLED')"
_OF_BALANCES = ("free", "locked", "initial")
_OF_ORDERS = ("price", "quantity", "quote_quantity", "executed", "quote_executed", "rest_price")
_OF_TRADES = ("quote", "commission")
_AMOUNTS = frozenset((*_OF_BALANCES, *_OF_ORDERS, *_OF_TRADES))
_FLAGS = frozenset(("buyer", "maker"))
_ORDER = tuple(field.name for field in fields(Order))
_TRADE = tuple(field.name for field in fields(Trade))


def _marks(names: Iterable[str]) -> str:
    return ", ".join(f":{name}" for name in names)


_ADD_ORDER = f"INSERT INTO orders ({', '.join(_ORDER)}) VALUES ({_marks(_ORDER)})"
_ADD_TRADE = f"INSERT INTO trades ({', '.join(_TRADE)}) VALUES ({_marks(_TRADE)})"
_SAVE_ORDER = (
    f"UPDATE orders SET {', '.join(f'{name} = :{name}' for name in _ORDER)}"
    " WHERE symbol = :symbol AND order_id = :order_id"
)


@dataclass(frozen=True, kw_only=True)
class Page:
    """Which entries are wanted: from an id on, of a time (ms, both ends included), and how many at most.

    From an id or a start on they are the first ones, otherwise the last ones; always in order of their ids.
    """

    from_id: int | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    order_id: int | None = None
    limit: int = 500

    @property
    def forward(self) -> bool:
        return self.from_id is not None or self.start_ms is not None


class Books:
    """Books in *path*, or in memory without one. Safe for many threads: one of them at a time.

    What a `transaction` has written survives the death of the process. One process has the file at a time.
    Raises `BadFile` for a file that cannot be used.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.RLock()
        try:
            self._database = sqlite3.connect(
                ":memory:" if path is None else path,
                timeout=0.5,
                isolation_level=None,
                check_same_thread=False,
            )
            self._database.row_factory = sqlite3.Row
            self._database.execute("PRAGMA foreign_keys = ON")
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode = WAL")
            # Enough against the death of the process; the machine's may take the last orders.
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.executescript(
                files(__package__).joinpath("sql", "books.sql").read_text(encoding="utf-8")
            )
        except sqlite3.Error as error:
            raise BadFile(f"{path}: books cannot be kept there: {error}") from None

    def close(self) -> None:
        with self._lock:
            self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written within it, or none of it when it raises. Others wait."""
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def clear(self) -> None:
        """Forget everything."""
        with self.transaction():
            for table in ("trades", "orders", "balances", "accounts"):
                self._database.execute(f"DELETE FROM {table}")

    # Accounts and balances

    def accounts(self) -> list[Account]:
        return [Account(**row) for row in self._rows("SELECT * FROM accounts ORDER BY account")]

    def account(self, key: str) -> Account | None:
        found = self._rows("SELECT * FROM accounts WHERE key = :key", key=key)
        return Account(**found[0]) if found else None

    def open_account(self, key: str, secret: str, balances: Mapping[str, int]) -> None:
        """Open an account with *balances*, unless it exists."""
        opened = self._execute(
            "INSERT INTO accounts (key, secret) VALUES (:key, :secret) ON CONFLICT DO NOTHING",
            {"key": key, "secret": secret},
        )
        if not opened.rowcount:
            return
        for asset, amount in balances.items():
            self._execute(
                "INSERT INTO balances (account, asset, free, locked, initial)"
                " VALUES (:account, :asset, :free, :locked, :initial)",
                {
                    "account": opened.lastrowid,
                    "asset": asset,
                    "free": amount,
                    "locked": 0,
                    "initial": amount,
                },
            )

    def balances(self, account: int) -> dict[str, Balance]:
        rows = self._rows(
            "SELECT asset, free, locked, initial FROM balances WHERE account = :account ORDER BY asset",
            account=account,
        )
        return {row["asset"]: Balance(**row) for row in rows}

    def balance(self, account: int, asset: str) -> Balance:
        rows = self._rows(
            "SELECT asset, free, locked, initial FROM balances WHERE account = :account AND asset = :asset",
            account=account,
            asset=asset,
        )
        return Balance(**rows[0]) if rows else Balance(asset=asset, free=0, locked=0, initial=0)

    def move(self, account: int, asset: str, *, free: int = 0, locked: int = 0) -> None:
        """Add *free* and *locked* (either may be negative) to a balance. It must not fall below zero."""
        before = self.balance(account, asset)
        after = {"free": before.free + free, "locked": before.locked + locked}
        if min(after.values()) < 0:
            raise RuntimeError(f"the books would go below zero: {before} and {after}")
        self._execute(
            "INSERT INTO balances (account, asset, free, locked, initial)"
            " VALUES (:account, :asset, :free, :locked, :initial)"
            " ON CONFLICT (account, asset) DO UPDATE SET free = :free, locked = :locked",
            {"account": account, "asset": asset, "initial": 0, **after},
        )

    # Orders

    def add_order(self, order: Order) -> None:
        """Enter *order* and give it the next id of its symbol."""
        order.order_id = self._next("orders", "order_id", order.symbol)
        self._execute(_ADD_ORDER, {name: getattr(order, name) for name in _ORDER})

    def save_order(self, order: Order) -> None:
        self._execute(_SAVE_ORDER, {name: getattr(order, name) for name in _ORDER})

    def order(self, account: int, symbol: str, order_id: int) -> Order | None:
        rows = self._rows(
            "SELECT * FROM orders WHERE symbol = :symbol AND order_id = :order_id AND account = :account",
            symbol=symbol,
            order_id=order_id,
            account=account,
        )
        return Order(**rows[0]) if rows else None

    def order_called(
        self, account: int, symbol: str, client_id: str, *, is_open: bool = False
    ) -> Order | None:
        """The newest order with this client id, of those that are open when *is_open*."""
        rows = self._rows(
            "SELECT * FROM orders WHERE account = :account AND client_id = :client_id AND symbol = :symbol"
            f"{f' AND {_OPEN}' if is_open else ''} ORDER BY order_id DESC LIMIT 1",
            account=account,
            client_id=client_id,
            symbol=symbol,
        )
        return Order(**rows[0]) if rows else None

    def open_orders(self, account: int | None = None, symbol: str | None = None) -> list[Order]:
        """Open orders by symbol and id, of one account or symbol where these are named."""
        where = _where(account=account, symbol=symbol)
        rows = self._rows(
            f"SELECT * FROM orders WHERE {_OPEN}{where} ORDER BY symbol, order_id",
            account=account,
            symbol=symbol,
        )
        return [Order(**row) for row in rows]

    def resting(self) -> list[Resting]:
        """Open orders that wait for the market, of each side those first that it comes to first."""
        names = ", ".join(field.name for field in fields(Resting))
        return [
            Resting(**row)
            for side, direction in (("BUY", "DESC"), ("SELL", "ASC"))
            # With as many decimals in each, the longer of two prices is the higher one.
            for row in self._rows(
                f"SELECT {names} FROM orders WHERE {_OPEN} AND withheld IS NULL AND side = :side"
                f" ORDER BY length(price) {direction}, price {direction}",
                side=side,
            )
        ]

    def orders(self, account: int, symbol: str | None, page: Page) -> list[Order]:
        return [Order(**row) for row in self._page("orders", "order_id", account, symbol, page)]

    def unfilled(self, account: int, since_ms: int) -> int:
        """How many orders were placed from *since_ms* on that had no trade."""
        rows = self._rows(
            "SELECT count(*) AS number FROM orders"
            " WHERE account = :account AND time >= :since AND executed = '0.00000000'",
            account=account,
            since=since_ms,
        )
        return int(rows[0]["number"])

    def updated_ms(self, account: int) -> int:
        """When an order of the account last changed, 0 when it has none."""
        rows = self._rows(
            "SELECT coalesce(max(update_time), 0) AS moment FROM orders WHERE account = :account",
            account=account,
        )
        return int(rows[0]["moment"])

    # Trades

    def add_trade(self, order: Order, **values: Any) -> Trade:
        """Enter a trade of *order* under the next id of its symbol."""
        trade = Trade(
            symbol=order.symbol,
            trade_id=self._next("trades", "trade_id", order.symbol),
            order_id=order.order_id,
            account=order.account,
            **values,
        )
        self._execute(_ADD_TRADE, {name: getattr(trade, name) for name in _TRADE})
        return trade

    def trades(self, account: int, symbol: str | None, page: Page) -> list[Trade]:
        return [Trade(**row) for row in self._page("trades", "trade_id", account, symbol, page)]

    # Statements

    def _next(self, table: str, column: str, symbol: str) -> int:
        rows = self._rows(
            f"SELECT coalesce(max({column}), 0) + 1 AS number FROM {table} WHERE symbol = :symbol",
            symbol=symbol,
        )
        return int(rows[0]["number"])

    def _page(
        self, table: str, column: str, account: int, symbol: str | None, page: Page
    ) -> list[dict[str, Any]]:
        where = _where(symbol=symbol, order_id=page.order_id)
        if page.from_id is not None:
            where += f" AND {column} >= :from_id"
        if page.start_ms is not None:
            where += " AND time >= :start"
        if page.end_ms is not None:
            where += " AND time <= :end"
        rows = self._rows(
            f"SELECT * FROM {table} WHERE account = :account{where}"
            f" ORDER BY symbol, {column} {'' if page.forward else 'DESC'} LIMIT :limit",
            account=account,
            symbol=symbol,
            order_id=page.order_id,
            from_id=page.from_id,
            start=page.start_ms,
            end=page.end_ms,
            limit=page.limit,
        )
        return rows if page.forward else rows[::-1]

    def _execute(self, statement: str, values: Mapping[str, Any]) -> sqlite3.Cursor:
        texts = {name: printed(value) if name in _AMOUNTS else value for name, value in values.items()}
        with self._lock:
            return self._database.execute(statement, texts)

    def _rows(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        """The rows of a query, amounts and flags as what they are."""
        with self._lock:
            found = self._database.execute(statement, values).fetchall()
        return [{name: _read(name, row[name]) for name in row.keys()} for row in found]  # noqa: SIM118


def _where(**wanted: object) -> str:
    """The conditions that the columns named by those of *wanted* that are given have these values."""
    return "".join(f" AND {name} = :{name}" for name, value in wanted.items() if value is not None)


def _read(name: str, value: Any) -> Any:
    if name in _AMOUNTS:
        return parsed(value)
    return bool(value) if name in _FLAGS else value

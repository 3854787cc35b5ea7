"""The interface that a real exchange does not have: ``/_sim/``, for who runs it."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from apps.stack.exchange.accounts import BadAccount, open_accounts, parse_accounts
from apps.stack.exchange.answers import Answer, json_answer
from apps.stack.exchange.api import Exchange
from apps.stack.exchange.faults import BadRule, Faults, parse_rules
from apps.stack.exchange.outages import BadOutage, parse_outages

PREFIX = "/_sim/"


class Stats:
    """How many requests each path had, by outcome. Safe for many threads."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}
        self._lock = threading.Lock()

    def count(self, path: str, outcome: str) -> None:
        with self._lock:
            self._counts.setdefault(path, Counter())[outcome] += 1

    def as_json(self) -> dict[str, Any]:
        with self._lock:
            return {
                "paths": {
                    path: {"requests": counts.total(), "outcomes": dict(counts)}
                    for path, counts in self._counts.items()
                }
            }


class Operator:
    """Answers ``info`` and ``stats``, and takes orders: ``faults``, ``outages``, ``limits``, ``accounts``.

    ``books`` are all accounts with their balances, orders and trades; to end them is to forget them.
    """

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.faults = Faults()
        self.stats = Stats()

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        """GET lists, POST adds what its JSON list orders, DELETE ends all of it."""
        try:
            match method, path.removeprefix(PREFIX):
                case "GET", "info":
                    return json_answer(self.exchange.info())
                case "GET", "stats":
                    return json_answer(self.stats.as_json())
                case "GET", "faults":
                    return json_answer(self.faults.listed())
                case "POST", "faults":
                    self.faults.add(parse_rules(body))
                    return json_answer(self.faults.listed())
                case "DELETE", "faults":
                    self.faults.clear()
                    return json_answer([])
                case "GET", "outages":
                    return json_answer(self.exchange.outages.listed())
                case "POST", "outages":
                    self.exchange.outages.add(parse_outages(body, self.exchange.markets()))
                    return json_answer(self.exchange.outages.listed())
                case "DELETE", "outages":
                    self.exchange.outages.clear()
                    return json_answer([])
                case "GET", "books":
                    return json_answer(self.exchange.trading.state())
                case "POST", "accounts":
                    open_accounts(self.exchange.trading.books, parse_accounts(body))
                    return json_answer(self.exchange.trading.state())
                case "DELETE", "books":
                    self.exchange.trading.books.clear()
                    return json_answer([])
                case "DELETE", "limits":
                    for face in self.exchange.faces.values():
                        face.forgive()
                    return json_answer([])
        except (BadRule, BadOutage, BadAccount) as error:
            return json_answer({"error": str(error)}, 400)
        return json_answer({"error": f"no {method} {path}"}, 404)

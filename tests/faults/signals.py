"""Signals of every kind that come in from all sides, and what their senders are told."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from apps.core.ids import uuid7
from tests.webhooks.helpers import Sender, action

#: As many are under way at once.
SENDERS = 16
#: How many orders the account may ask for whose limit is reached.
LIMIT = 4
#: What becomes of a signal.
ACCEPTED, RECORDED, REFUSED, LIMITED = "accepted", "recorded", "refused", "accepted or refused"
_REAL = "?simulation=false"


@dataclass(kw_only=True, eq=False)
class Message:
    """One signal, the same bytes however often it is sent; it is written when it is first sent."""

    sender: Sender
    kind: str
    fields: dict[str, Any] = field(default_factory=dict)
    #: What becomes of it; of what is refused, the name of the problem.
    becomes: str = ACCEPTED
    problem: str = ""
    form: str = "tradingview"
    token: str = ""
    #: The first answer to it that was kept.
    answer: dict[str, Any] | None = None

    @cached_property
    def body(self) -> bytes:
        """What is sent."""
        if self.form == "pineforge":
            return json.dumps(action(**self.fields)).encode()
        if self.kind == "malformed":
            return b'{"signal": "buy", "symbol": '
        said = self.sender.signal(**{"id": str(uuid7()), "symbol": "BINANCE:BTCUSDT", **self.fields})
        if self.kind.startswith("text"):
            return "\n".join(f"{name}: {value}" for name, value in said.items()).encode()
        return json.dumps(said).encode()

    @cached_property
    def headers(self) -> dict[str, str]:
        """What goes with it."""
        if self.form != "pineforge":
            return {"Content-Type": "text/plain" if self.kind.startswith("text") else "application/json"}
        secret = self.sender.signing_secret if self.becomes != REFUSED else "somebody else's"
        signed = hmac.new(secret.encode(), self.body, hashlib.sha256).hexdigest()
        return {"Content-Type": "application/json", "X-PineForge-Signature": f"sha256={signed}"}

    @property
    def path(self) -> str:
        """Where it is sent to."""
        return f"/webhooks/{self.form}/{self.token or self.sender.token}{_REAL}"


#: What one sender sends, one after the other, and each not before the one before was answered.
Job = Sequence[Message]


@dataclass(frozen=True, kw_only=True)
class Parties:
    """Who sends: each has an endpoint of an account of its own."""

    #: Plain orders, in any order.
    plain: Sequence[Sender]
    #: Entries and exits by turns.
    turns: Sequence[Sender]
    #: Entries by PineForge.
    pine: Sequence[Sender]
    #: One whose orders of the day are soon used up.
    limited: Sender


def jobs(parties: Parties, count: int, chance: random.Random) -> list[Job]:
    """About *count* signals of mixed validity. Those of one sender that depend on each other are one job."""
    found: list[Job] = []
    weights = {
        _order: 42, _text_order: 14, _twins: 5, _repeated: 6, _conflict: 4, _wrong_secret: 5, _expired: 4,
        _unknown_token: 3, _malformed: 3, _unknown_symbol: 3, _pine_wrong: 2, _pine_update: 2,
    }  # fmt: skip
    makers = list(weights)
    dependent = max(4, count // 20)
    found += [[_turn(sender, number) for number in range(dependent)] for sender in parties.turns]
    found += [[_entry(sender) for _ in range(dependent)] for sender in parties.pine]
    found += [[message] for message in _beyond_the_limit(parties.limited)]
    # Each kind once at least.
    chosen = [*makers, *chance.choices(makers, list(weights.values()), k=count)]
    for make in chosen:
        if sum(len(job) for job in found) >= count:
            break
        who = parties.pine if make in (_pine_wrong, _pine_update) else parties.plain
        found += make(chance.choice(who))
    # The long ones first: the others go on beside them.
    rest = found[len(parties.turns) + len(parties.pine) :]
    chance.shuffle(rest)
    return found[: len(parties.turns) + len(parties.pine)] + rest


def _order(sender: Sender) -> list[Job]:
    side = "buy" if int(uuid7().hex[-1], 16) % 2 else "sell"
    return [[Message(sender=sender, kind="order", fields={"signal": side, "quantity": "0.01"})]]


def _text_order(sender: Sender) -> list[Job]:
    return [[Message(sender=sender, kind="text", fields={"signal": "buy", "quantity": "0.002"})]]


def _twins(sender: Sender) -> list[Job]:
    """The same twice, perhaps at once."""
    message = Message(sender=sender, kind="twins", fields={"signal": "buy", "quantity": "0.003"})
    return [[message], [message]]


def _repeated(sender: Sender) -> list[Job]:
    message = Message(sender=sender, kind="repeated", fields={"signal": "sell", "quantity": "0.004"})
    return [[message, message]]


def _conflict(sender: Sender) -> list[Job]:
    """The key of one that came before, with other content."""
    fields = {"signal": "buy", "quantity": "0.005", "id": str(uuid7())}
    first = Message(sender=sender, kind="conflict", fields=fields)
    other = {**fields, "quantity": "9"}
    return [[first, _refused(sender, "conflict", "webhook-replay", **other)]]


def _wrong_secret(sender: Sender) -> list[Job]:
    return [[_refused(sender, "wrong secret", "webhook-secret", secret="x" * 43)]]


def _expired(sender: Sender) -> list[Job]:
    old = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    return [[_refused(sender, "expired", "webhook-expired", timestamp=old)]]


def _unknown_token(sender: Sender) -> list[Job]:
    message = _refused(sender, "unknown token", "not-found")
    message.token = "nobody's"
    return [[message]]


def _malformed(sender: Sender) -> list[Job]:
    return [[_refused(sender, "malformed", "malformed-body")]]


def _unknown_symbol(sender: Sender) -> list[Job]:
    return [[_refused(sender, "unknown symbol", "invalid-request", symbol="NOSUCH")]]


def _pine_wrong(sender: Sender) -> list[Job]:
    message = _refused(sender, "wrong signature", "webhook-secret")
    message.form, message.fields = "pineforge", {}
    return [[message]]


def _pine_update(sender: Sender) -> list[Job]:
    fields = {"event": "order_update"}
    return [[Message(sender=sender, kind="update", fields=fields, form="pineforge", becomes=RECORDED)]]


def _refused(sender: Sender, kind: str, problem: str, **fields: Any) -> Message:
    given = {"signal": "buy", "quantity": "0.01", **fields}
    return Message(sender=sender, kind=kind, fields=given, becomes=REFUSED, problem=problem)


def _turn(sender: Sender, number: int) -> Message:
    signal = ("long_entry", "long_exit", "short_entry", "short_exit")[number % 4]
    return Message(sender=sender, kind=signal, fields={"signal": signal, "quantity": "0.01"})


def _entry(sender: Sender) -> Message:
    order = {"id": "L", "action": "buy", "contracts": 0.01, "price": 2500, "leg": "entry"}
    return Message(sender=sender, kind="pineforge", fields={"order": order}, form="pineforge")


def _beyond_the_limit(sender: Sender) -> list[Message]:
    fields = {"signal": "buy", "quantity": "0.01"}
    return [
        Message(sender=sender, kind="limited", fields=fields, becomes=LIMITED, problem="daily-limit")
        for _ in range(2 * LIMIT)
    ]


class Senders:
    """Send jobs, so many at once, as TradingView does: what is not answered, or with 5xx, is sent again."""

    def __init__(self, url: str, work: Sequence[Job], *, pause: float, seed: int) -> None:
        self._netloc, self._pause, self._seed = urlsplit(url).netloc, pause, seed
        self._waiting = list(reversed(work))
        self._lock = threading.Lock()
        #: Outcome, and the name of the problem if there is one -> how many were answered so.
        self.answered: Counter[tuple[str, str]] = Counter()
        self.faults: list[str] = []
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(SENDERS)]

    def send(self) -> None:
        """Return when everything was answered."""
        for thread in self._threads:
            thread.start()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        chance = random.Random(f"{self._seed}:{number}")
        while True:
            with self._lock:
                if not self._waiting:
                    return
                job = self._waiting.pop()
            for message in job:
                time.sleep(chance.uniform(0, 2 * self._pause))
                self._deliver(message)

    def _deliver(self, message: Message) -> None:
        for _ in range(100):
            try:
                status, headers, body = self._post(message)
            except (OSError, http.client.HTTPException):
                time.sleep(0.2)
                continue
            told = json.loads(body)
            problem = told.get("type", "").removeprefix("/problems/")
            with self._lock:
                outcome = _outcome(status, headers, told)
                self.answered[outcome, problem] += 1
                if status < 500:
                    self._judge(message, outcome, problem, told)
                    return
            time.sleep(0.2)
        with self._lock:
            self.faults.append(f"{message.kind} was never taken")

    def _post(self, message: Message) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self._netloc, timeout=30)
        try:
            connection.request("POST", message.path, message.body, message.headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.headers.items()), answer.read()
        finally:
            connection.close()

    def _judge(self, message: Message, outcome: str, problem: str, told: dict[str, Any]) -> None:
        """Keep what must not have been answered so."""
        refused = outcome == "refused" and problem == message.problem
        taken = outcome in (ACCEPTED, RECORDED, "duplicate")
        if message.becomes == REFUSED or (message.becomes == LIMITED and not taken):
            if not refused:
                self.faults.append(f"{message.kind} was answered with {told}")
            return
        if not taken or (message.becomes == RECORDED) != (told["order"] is None):
            self.faults.append(f"{message.kind} was answered with {told}")
        elif message.answer is None:
            message.answer = told
        elif message.answer != told or outcome != "duplicate":
            self.faults.append(f"{message.kind} was answered anew with {told}")


def _outcome(status: int, headers: dict[str, str], told: dict[str, Any]) -> str:
    """As the log calls it."""
    if status >= 500:
        return "failed"
    if status >= 400:
        return "refused"
    if headers.get("X-Replayed"):
        return "duplicate"
    return ACCEPTED if told["order"] else RECORDED

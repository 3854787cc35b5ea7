"""Signals become orders at an exchange once each, whatever breaks. ``TRADING_WEBHOOKS`` says how many come.

A thousand of them, as often as that is asked for; the suite has to do with fewer.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest

from apps.audit.models import Entry as AuditEntry
from apps.audit.verifying import verify
from apps.orders.accounts import account_set_keys
from apps.orders.models import Account, Order, Position
from apps.orders.reconciling import orders_reconcile
from apps.orders.states import Intent, State
from apps.ratelimits.limiter.values import LARGEST_LIMIT
from apps.ratelimits.models import PolicyChange
from apps.stack.testing import SimulatedExchange, SqsServer, Web
from apps.tasks.models import Entry, TaskRun
from apps.tasks.states import ENDED
from apps.webhooks.facts import RATE_GROUP
from apps.webhooks.models import Delivery
from tests.candles.helpers import instrument
from tests.faults.signals import ACCEPTED, LIMIT, LIMITED, Job, Parties, Senders, jobs
from tests.orders.helpers import check
from tests.platform import Platform
from tests.stack.exchange_process import ExchangeAt
from tests.stack.exchanges import Trader
from tests.support import wait_until
from tests.webhooks.helpers import Sender, account_of, sender_of, user_of

WEBHOOKS = int(os.environ.get("TRADING_WEBHOOKS", "60"))
SEED = int(os.environ.get("TRADING_SEED", "0")) or random.randrange(1, 10**6)

pytestmark = pytest.mark.timeout(400 + 3 * WEBHOOKS)

#: What each account has at the exchange.
MONEY = {"USDT": "10000000", "BTC": "1000"}
#: For the processes: short waits, and no order too old.
SETTINGS = {
    "ORDERS_BROKER_TIMEOUT": "2",
    "ORDERS_BROKER_SETTLE": "2",
    "ORDERS_UNKNOWN_FIRST": "1",
    "ORDERS_VERIFY_FIRST": "1",
    "ORDERS_VERIFY_LONGEST": "5",
    "ORDERS_VERIFY_LOOKS": "1000",
    "ORDERS_MARKET_MAX_AGE": "3600",
    "ORDERS_SUBMIT_LIMIT": "3600",
    "ORDERS_SETTLE_LIMIT": "3600",
    "ORDERS_REVERSAL_LIMIT": "3600",
    "ORDERS_PLANS": '{"pro": {"simulation_only": false, "daily_orders": 100000}}',
}
#: What the exchange does to one order or look, or to some.
DISTURBANCES: Sequence[dict[str, Any]] = (
    {"kind": "lost"},
    {"kind": "lost", "seconds": 4},
    {"kind": "reset"},
    {"kind": "delay", "seconds": 0.5},
    {"kind": "garbage", "executed": True},
    {"kind": "status", "status": 504, "body": {"code": -1007, "msg": "Timeout."}},
    {"kind": "status", "status": 504, "body": {"code": -1007, "msg": "Timeout."}, "executed": True},
    {"kind": "status", "status": 503, "body": {"code": -1008, "msg": "Overloaded."}},
    {
        "kind": "status",
        "status": 429,
        "body": {"code": -1003, "msg": "Limit."},
        "headers": {"Retry-After": "1"},
    },
    {
        "kind": "status",
        "status": 418,
        "body": {"code": -1003, "msg": "Banned."},
        "headers": {"Retry-After": "1"},
    },
    {"kind": "partial", "share": 0.4, "reads": 2, "trades": 2},
    {"kind": "trades", "trades": 3},
    {"kind": "reset", "method": "GET"},
    {"kind": "status", "status": 500, "method": "GET", "times": 3},
)
QUEUES = ("orders.fifo", "fills.fifo", "audit", "default")


class Chaos:
    """Kills and restarts something every now and then, from a thread, and counts what it did."""

    def __init__(self, platform: Platform, sqs: SqsServer, exchange: SimulatedExchange) -> None:
        self._random = random.Random(SEED)
        self._sqs, self._exchange = sqs, exchange
        self._workers = [platform.worker(*QUEUES) for _ in range(2)]
        self._relays = [platform.relay(), platform.relay()]
        platform.ready(*self._workers, *self._relays, platform.beat())
        self.kinds: tuple[Callable[[], None], ...] = (
            self.kill_worker, self.kill_child, self.kill_relay, self.kill_sqs, self.kill_exchange,
            self.disturb,
        )  # fmt: skip
        self.done: Counter[str] = Counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Chaos:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Break nothing more; everything runs afterwards."""
        self._stop.set()
        self._thread.join()
        # What the thread has started ends with it.
        for process in (self._sqs, self._exchange, *self._workers, *self._relays):
            process.kill()
            process.start()

    @property
    def complete(self) -> bool:
        """Whether everything was broken once."""
        return set(self.done) == {kind.__name__ for kind in self.kinds}

    def _run(self) -> None:
        first = list(self.kinds)
        self._random.shuffle(first)
        while not self._stop.wait(self._random.uniform(0.3, 1.2)):
            fault = first.pop() if first else self._random.choice((*self.kinds, self.disturb, self.disturb))
            fault()
            self.done[fault.__name__] += 1

    def kill_worker(self) -> None:
        worker = self._random.choice(self._workers)
        worker.kill()
        worker.launch()

    def kill_child(self) -> None:
        children = self._random.choice(self._workers).children()
        if children:
            with suppress(ProcessLookupError):
                os.kill(self._random.choice(children), signal.SIGKILL)

    def kill_relay(self) -> None:
        relay = self._random.choice(self._relays)
        relay.kill()
        relay.launch()

    def kill_sqs(self) -> None:
        """With all messages."""
        self._sqs.kill(refuse=self._random.random() < 0.5)
        self._stop.wait(self._random.uniform(0, 1))
        self._sqs.start()

    def kill_exchange(self) -> None:
        """Its books stay; whoever is connected has no answer."""
        self._exchange.kill(refuse=self._random.random() < 0.5)
        self._stop.wait(self._random.uniform(0, 2))
        self._exchange.start()

    def disturb(self) -> None:
        rules = self._random.choices(DISTURBANCES, k=3)
        at = ExchangeAt(url=self._exchange.url)
        at.request("DELETE", "/_sim/limits")
        at.order(*({"path": "/api/v3/order", "method": "POST", **rule} for rule in rules))


@pytest.fixture
def exchange() -> Iterator[SimulatedExchange]:
    with SimulatedExchange() as running:
        yield running


class Traders:
    """Users with an account each, here and at the exchange."""

    def __init__(self, exchange: SimulatedExchange) -> None:
        self._exchange = ExchangeAt(url=exchange.url)
        #: Account -> who trades there.
        self.all: dict[Account, Trader] = {}

    def sender(self, name: str, **fields: Any) -> Sender:
        """The endpoint of a new one."""
        trader = Trader.opened(self._exchange, **MONEY)
        account = account_of(user_of(name), name, **fields)
        account = account_set_keys(account=account, api_key=trader.key, api_secret=trader.secret, by="test")
        self.all[account] = trader
        return sender_of(account, name)


def test_every_accepted_signal_is_one_verified_order_whatever_breaks(
    private_sqs: SqsServer, platform: Platform, exchange: SimulatedExchange
) -> None:
    print(f"TRADING_SEED={SEED}")
    chance = random.Random(SEED)
    platform.environ |= SETTINGS | exchange.environ
    instrument("BTC/USDT", venue_id="BTCUSDT")
    # However many come: each is to be taken, or refused for what is wrong with it.
    PolicyChange.objects.create(group=RATE_GROUP, rule="endpoint", limit=LARGEST_LIMIT)
    traders = Traders(exchange)
    parties = Parties(
        plain=[traders.sender(f"plain{number}") for number in range(6)],
        turns=[traders.sender(f"turns{number}") for number in range(2)],
        pine=[traders.sender(f"pine{number}") for number in range(2)],
        limited=traders.sender("limited", daily_limit=LIMIT),
    )
    work = jobs(parties, WEBHOOKS, chance)
    began = time.monotonic()
    with Web(platform.environ) as web:
        senders = Senders(web.url, work, pause=0.5, seed=SEED)
        with Chaos(platform, private_sqs, exchange) as chaos:
            senders.send()
            # It goes on while orders are on their way.
            accepted = sum(count for (outcome, _), count in senders.answered.items() if outcome == ACCEPTED)
            wait_until(
                lambda: chaos.complete and _verified() > accepted / 2,
                seconds=120 + WEBHOOKS,
                what="most orders to be verified",
                every=0.5,
            )
        broken = time.monotonic() - began
        assert senders.faults == []
        _settle(120 + WEBHOOKS / 4)
    orders = _assert_orders(work)
    _assert_log(senders)
    _assert_books(traders)
    print(
        f"{sum(senders.answered.values())} requests, {orders} orders, {sum(chaos.done.values())} faults"
        f" {dict(chaos.done)} in {broken:.0f} s of {time.monotonic() - began:.0f} s; {dict(senders.answered)}"
    )


def _verified() -> int:
    return Order.objects.filter(verified_at__isnull=False).count()


def _settle(seconds: float) -> None:
    """Wait until nothing is left to be done, nor to be found out."""
    deadline = time.monotonic() + seconds
    while left := _left():
        assert time.monotonic() < deadline, "\n".join(left)
        time.sleep(0.5)


def _left() -> list[str]:
    # Beat does it once a minute.
    orders_reconcile()
    waiting = TaskRun.objects.filter(task__regex=r"^(orders|webhooks|audit)\.").exclude(state__in=ENDED)
    # It comes when the limit is over, and finds nothing that waits.
    waiting = waiting.exclude(task="orders.abort_reversal")
    open_ = Order.objects.filter(verified_at=None).exclude(state=State.REJECTED)
    # What was never submitted has nothing to be verified.
    open_ = open_.exclude(state=State.CANCELLED, submission_started_at=None)
    return [
        *(f"{run.task} {run.pk} {run.state} {run.error}" for run in waiting),
        *(f"{one.pk} {one.state} {one.signal} {one.looks} {one.reason}" for one in open_),
        *(f"{entry.task} {entry.pk} {entry.run_id}" for entry in Entry.objects.all()),
    ]


def _assert_orders(work: Sequence[Job]) -> int:
    """What was accepted, and nothing else, is one order each, filled and verified."""
    messages = {message for job in work for message in job if message.answer is not None}
    accepted = [
        str(message.answer["order"]) for message in messages if message.answer and message.answer["order"]
    ]
    limited = [message for message in messages if message.becomes == LIMITED]
    assert len(limited) == LIMIT
    must = {message for job in work for message in job if message.becomes == ACCEPTED}
    assert must <= messages, "a valid signal was refused"
    assert len(accepted) == len(set(accepted)) == len(must) + LIMIT
    asked = Order.objects.exclude(intent=Intent.CLOSE)
    assert Counter(str(pk) for pk in asked.values_list("pk", flat=True)) == Counter(accepted)
    assert Counter(asked.values_list("state", "reason_code")) == {(State.FILLED, ""): len(accepted)}
    assert not asked.filter(verified_at=None).exists()
    # What fees left of a short position is too little to be bought back; it is no order there.
    rest = Order.objects.filter(intent=Intent.CLOSE)
    assert set(rest.values_list("state", "reason_code")) <= {(State.REJECTED, "NOTIONAL")}
    check()
    return len(accepted)


def _assert_log(senders: Senders) -> None:
    """Every request is in the log once, and in the audit once, and the audit is sound."""
    outcomes: Counter[str] = Counter()
    for (outcome, _), count in senders.answered.items():
        outcomes[outcome] += count
    assert Counter(Delivery.objects.values_list("outcome", flat=True)) == outcomes
    logged = {str(pk) for pk in Delivery.objects.values_list("pk", flat=True)}
    audited = AuditEntry.objects.filter(action__startswith="webhook.", object_id__in=logged)
    assert Counter(audited.values_list("object_id", flat=True)) == Counter(logged)
    told = Delivery.objects.filter(outcome="accepted").values_list("order_id", flat=True)
    assert set(told) == set(Order.objects.exclude(intent=Intent.CLOSE).values_list("pk", flat=True))
    assert verify().findings == 0


def _assert_books(traders: Traders) -> None:
    """The exchange has exactly these orders, and its balances are what we say is held."""
    for account, trader in traders.all.items():
        ours = Counter(
            str(pk) for pk in account.orders.exclude(intent=Intent.CLOSE).values_list("pk", flat=True)
        )
        booked = trader.books()["orders"]
        assert Counter(order["clientOrderId"] for order in booked) == ours
        # By chance one of them may have been sent nothing.
        assert {order["status"] for order in booked} <= {"FILLED"}
        position = Position.objects.get(account=account, simulation=False)
        assert sum(trader.balance("BTC")) == Decimal(MONEY["BTC"]) + position.quantity
        assert sum(trader.balance("USDT")) == Decimal(MONEY["USDT"]) + position.realised - position.cost

"""One of everything that a user may have, for whoever must not see it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from apps.audit.chain import append
from apps.backtests.models import Backtest, Sweep
from apps.candles.models import Backfill
from apps.core import context
from apps.core.ids import uuid7
from apps.identity.services import key_create
from apps.liveness.services import session_start
from apps.notifications.models import Email, SuppressedAddress
from apps.orders.models import Account, Fill, Position
from apps.orders.placing import order_place
from apps.tasks.batches import batch_request
from apps.tasks.models import BulkOperation
from apps.webhooks.endpoints import endpoint_create
from apps.webhooks.models import Delivery
from tests.audit.chaining import entry
from tests.candles.helpers import instrument
from tests.workload import tasks as work

START = datetime(2026, 3, 1, tzinfo=UTC)


def everything_of(user: Any) -> dict[str, Any]:
    """What addresses call it by, and its key."""
    actor = f"user:{user.pk}"
    market = instrument("BTC/USDT")
    account = Account.objects.create(user=user, name="main", exchange="binance", plan="pro")
    order = order_place(
        account=account, instrument=market, side="buy", kind="limit", quantity=Decimal(1), price=Decimal(9),
        source="api",
    )  # fmt: skip
    traded = {"account": account, "instrument": market, "simulation": True, "quantity": Decimal(1)}
    fill = Fill.objects.create(
        order=order, trade_id="1", price=Decimal(9), fee=Decimal(0), traded_at=START, **traded
    )
    position = Position.objects.create(
        id=uuid7(), version=1, cost=Decimal(9), realised=Decimal(0), updated_at=START, **traded
    )
    endpoint = endpoint_create(account=account, name="alerts", by=actor).endpoint
    delivery = Delivery.objects.create(
        id=uuid7(), endpoint=endpoint, at=START, format="tradingview", outcome="accepted", status=200,
        body_digest="", size=0, milliseconds=1,
    )  # fmt: skip
    asked = {
        "owner": user, "instruments": [market.text], "timeframe": "15m", "start": START,
        "end": START + timedelta(days=1), "strategy": "sma_cross", "spec": {"params": {"fast": 5}},
    }  # fmt: skip
    backtest = Backtest.objects.create(spec_hash="x", request_hash="x", **asked)
    sweep = Sweep.objects.create(
        space={}, method="grid", metric="sharpe", best_count=1, combinations=1, refused=0, repeated=0,
        batch=uuid7(), finish_run=uuid7(), **asked,
    )  # fmt: skip
    with context.bind(actor=actor):
        run = UUID(work.note.apply_async(args=["a"], countdown=3600).id)
        batch = batch_request([work.note.s("b")])
    email = Email.objects.create(
        kind="order_rejected", recipient=user.email, user=user, subject="s", body="b", about="x"
    )
    append([told := entry(actor=actor)])
    return {
        "account_id": account.pk,
        "order_id": order.pk,
        "fill": fill.pk,
        "position": position.pk,
        "endpoint_id": endpoint.pk,
        "delivery_id": delivery.pk,
        "backtest_id": backtest.pk,
        "sweep_id": sweep.pk,
        "run_id": run,
        "batch_id": batch.pk,
        "bulk_id": BulkOperation.objects.create(operation="cancel", selection={}, bound=1, actor=actor).pk,
        "email": email.pk,
        "entry_id": told.id,
        "key_id": key_create(user=user, name="bot", scopes=["orders:read"], by=actor).key.pk,
        "session_id": session_start(user_id=user.pk).pk,
        "backfill_id": Backfill.objects.create(
            exchange="binance", symbol="BTC/USDT", start=START, end=asked["end"], requested_by=actor
        ).pk,
        "suppression_id": SuppressedAddress.objects.create(address="a@example.com", reason="x").pk,
        "instrument": market.text,
        "token": "x" * 43,
    }

"""Receiving a delivery: what is known of it, what the layers say, and what follows.

An accepted signal takes one statement that reads and one short transaction: the answer is kept under its
key, the run that acts is requested, the delivery is put into the log, and one of the account's orders of the
day is taken. All of that happens or nothing; the sender is told so only after the commit.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.core import context
from apps.core.database import execute, pipelined
from apps.core.ids import uuid7
from apps.core.resources import sql
from apps.orders.signals import EXITS, Signal
from apps.orders.tasks import act_on_signal
from apps.tasks.requests import request
from apps.webhooks import layers
from apps.webhooks.codes import Outcome
from apps.webhooks.entries import Result, entry
from apps.webhooks.facts import Earlier, Facts, Sender, facts_of, hashed, with_instrument
from apps.webhooks.formats.base import Arrival, Format
from apps.webhooks.layers import ADMISSION, SCREENING, Refusal, Repeated, Verdict
from apps.webhooks.tasks import log_delivery

logger = logging.getLogger(__name__)

#: Seconds after which a sender is asked to try again.
_RETRY_AFTER = 5


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a sender is told."""

    status: int
    body: Mapping[str, Any] = field(default_factory=dict)
    refusal: Refusal | None = None
    repeated: bool = False


class _KeyTaken(Exception):
    """Somebody else came with the same key meanwhile."""


class _LimitReached(Exception):
    """Others took the last orders of the day meanwhile."""


def receive(*, format: Format, token: str, arrival: Arrival, sender: Sender) -> Answer:  # noqa: A002
    """Take a delivery, or say why not. It is in the log once either way.

    Where nothing could be committed the answer is 503: nothing has happened, and it may be sent again.
    """
    delivery = _Delivery()
    try:
        token_hash = hashed(token)
        facts = facts_of(format=format, token_hash=token_hash, arrival=arrival, sender=sender)
        return delivery.answer(facts, token_hash)
    except Exception:
        logger.exception("delivery %s could not be committed", delivery.id)
        refusal = Refusal(
            code="unavailable",
            detail="The signal could not be recorded, and nothing was done. Send it again.",
            retry_after=_RETRY_AFTER,
        )
        # Where the database is away, the line above has to do.
        with suppress(Exception):
            delivery.log(
                Facts(format=format, arrival=arrival, sender=sender),
                Result(outcome=Outcome.FAILED, status=refusal.status, refusal=refusal),
            )
        return Answer(status=refusal.status, refusal=refusal)


def judged(facts: Facts) -> tuple[Facts, Verdict | None]:
    """What the layers say, and the facts with what had to be looked up for the last of them."""
    verdict = layers.decide(facts, SCREENING)
    if verdict is None and not facts.idle:
        facts = with_instrument(facts)
    return facts, verdict or layers.decide(facts, ADMISSION)


class _Delivery:
    """One request on its way to an answer."""

    def __init__(self) -> None:
        self.id = uuid7()
        self._at = datetime.now(UTC)
        self._started = time.perf_counter()

    def answer(self, facts: Facts, token_hash: str) -> Answer:
        while True:
            facts, verdict = judged(facts)
            if verdict is None:
                try:
                    return self._accept(facts)
                except _KeyTaken:
                    # Its answer is there now, unless that was rolled back: then it is this one's turn.
                    facts = facts_of(
                        format=facts.format,
                        token_hash=token_hash,
                        arrival=facts.arrival,
                        sender=facts.sender,
                    )
                    continue
                except _LimitReached:
                    verdict = layers.limit_reached(facts)
            if isinstance(verdict, Repeated):
                return self._repeat(facts, verdict.earlier)
            self.log(facts, Result(outcome=Outcome.REFUSED, status=verdict.status, refusal=verdict))
            return Answer(status=verdict.status, refusal=verdict)

    def log(self, facts: Facts, result: Result) -> None:
        """Put this delivery into the log, in the caller's transaction if there is one."""
        log_delivery.put(id=self.id, **entry(facts=facts, result=result, at=self._at, started=self._started))

    def _accept(self, facts: Facts) -> Answer:
        asked, target, idle = facts.asked, facts.target, facts.idle
        order_id = None if idle else uuid7()
        body = {
            "delivery": str(self.id),
            "order": str(order_id) if order_id else None,
            "status": "recorded" if idle else "accepted",
            "simulation": facts.simulation,
        }
        if idle:
            body["reason"] = idle
        status = facts.format.accepted_status
        outcome = Outcome.RECORDED if idle else Outcome.ACCEPTED
        result = Result(outcome=outcome, status=status, order_id=order_id, idle=idle)
        acceptance = {
            "endpoint": target.endpoint_id,
            "key": asked.key,
            "digest": asked.digest,
            "status": status,
            "answer": json.dumps(body),
            "order": order_id,
            "account": target.account_id,
            "day": target.now.date(),
            "simulation": facts.simulation,
            "limit": target.limit,
            "exempt": asked.signal in EXITS,
        }
        with context.bind(actor=f"webhook:{target.endpoint_id}"), transaction.atomic():
            with pipelined():
                self.log(facts, result)
                # From here to the commit others wait who come with the same key, or for the same account.
                accepting = execute(sql(__package__, "accept.sql"), acceptance)
                if asked.signal is not None and order_id is not None:
                    self._request(facts, asked.signal, order_id)
            kept, taken = accepting.fetchone() or (False, False)
            if not kept:
                raise _KeyTaken
            if order_id is not None and not taken:
                raise _LimitReached
        return Answer(status=status, body=body)

    def _request(self, facts: Facts, signal: Signal, order_id: UUID) -> None:
        asked, target = facts.asked, facts.target
        run = act_on_signal.new_run(
            kwargs={
                "account_id": str(target.account_id),
                "instrument_id": facts.instrument,
                "signal": signal.value,
                "quantity": None if asked.quantity is None else f"{asked.quantity:f}",
                "price": None if asked.price is None else f"{asked.price:f}",
                "simulation": facts.simulation,
                "order_id": str(order_id),
                "source_id": str(self.id),
                "received_at": target.now.isoformat(),
            },
            group_key=f"signals:{target.account_id}",
        )
        request(run)

    def _repeat(self, facts: Facts, earlier: Earlier) -> Answer:
        self.log(facts, Result(outcome=Outcome.DUPLICATE, status=earlier.status, order_id=earlier.order_id))
        return Answer(status=earlier.status, body=earlier.answer, repeated=True)

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
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.core import context
from apps.core.database import execute, pipelined
from apps.core.ids import uuid7
from apps.core.resources import sql
from apps.orders.requesting import signal_group
from apps.orders.signals import EXITS, Signal
from apps.orders.tasks import act_on_signal
from apps.tasks.requests import request
from apps.webhooks import layers
from apps.webhooks.codes import Outcome
from apps.webhooks.entries import Result, entry
from apps.webhooks.facts import Earlier, Facts, Sender, facts_of, hashed, with_instrument, with_room
from apps.webhooks.formats.base import Arrival, Format
from apps.webhooks.layers import ADMISSION, SCREENING, Refusal, Repeated, Verdict
from apps.webhooks.masking import without_secrets
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
    delivery = _Delivery(Facts(format=format, arrival=arrival, sender=sender))
    try:
        return delivery.answer(hashed(token))
    except Exception:
        logger.exception("delivery %s could not be committed", delivery.id)
        refusal = Refusal(
            code="unavailable",
            detail="The signal could not be recorded, and nothing was done. Send it again.",
            retry_after=_RETRY_AFTER,
        )
        # Where the database is away, the line above has to do.
        with suppress(Exception):
            delivery.log(Result(outcome=Outcome.FAILED, status=refusal.status, refusal=refusal))
        return Answer(status=refusal.status, refusal=refusal)


class _Delivery:
    """One request on its way to an answer."""

    def __init__(self, facts: Facts) -> None:
        self.id = uuid7()
        self._at = datetime.now(UTC)
        self._started = time.perf_counter()
        self._facts = facts

    def answer(self, token_hash: str) -> Answer:
        """What the sender is told, once what it says has happened."""
        while True:
            verdict = self._judge(token_hash)
            try:
                if verdict is None:
                    try:
                        return self._accept()
                    except _LimitReached:
                        verdict = layers.limit_reached(self._facts)
                if isinstance(verdict, Repeated):
                    return self._repeat(verdict.earlier)
                if layers.passes_over(self._facts, verdict):
                    self._facts = replace(self._facts, passed_over=verdict)
                    return self._accept()
            except _KeyTaken:
                # Its answer is there now, unless that was rolled back: then it is this one's turn.
                continue
            return self._refuse(verdict)

    def log(self, result: Result) -> None:
        """Put this delivery into the log, in the caller's transaction if there is one."""
        log_delivery.put(
            id=self.id, **entry(facts=self._facts, result=result, at=self._at, started=self._started)
        )

    def _judge(self, token_hash: str) -> Verdict | None:
        """Read what is known, and ask the layers. However often it is judged, a delivery is charged once."""
        before = self._facts
        self._facts = facts_of(
            format=before.format, token_hash=token_hash, arrival=before.arrival, sender=before.sender
        )
        verdict = layers.decide(self._facts, SCREENING)
        if verdict is not None:
            return verdict
        charged = replace(self._facts, room=before.room)
        self._facts = with_room(charged) if before.room is None else charged
        if not self._facts.idle:
            self._facts = with_instrument(self._facts)
        return layers.decide(self._facts, ADMISSION)

    def _accept(self) -> Answer:
        facts = self._facts
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
        acceptance = {
            "endpoint": target.endpoint_id,
            "key": asked.receipt,
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
                self.log(Result(outcome=outcome, status=status, order_id=order_id, idle=idle))
                # From here to the commit others wait who come with the same key, or for the same account.
                accepting = execute(sql(__package__, "accept.sql"), acceptance)
                if asked.signal is not None and order_id is not None:
                    self._request(asked.signal, order_id)
            kept, taken = accepting.fetchone() or (False, False)
            if not kept:
                raise _KeyTaken
            if order_id is not None and not taken:
                raise _LimitReached
        return Answer(status=status, body=body)

    def _request(self, signal: Signal, order_id: UUID) -> None:
        facts = self._facts
        asked, target, instrument = facts.asked, facts.target, facts.instrument
        assert instrument is not None
        run = act_on_signal.new_run(
            kwargs={
                "account_id": str(target.account_id),
                "instrument_id": instrument,
                "signal": signal.value,
                "quantity": None if asked.quantity is None else f"{asked.quantity:f}",
                "price": None if asked.price is None else f"{asked.price:f}",
                "simulation": facts.simulation,
                "order_id": str(order_id),
                "source_id": str(self.id),
                "received_at": target.now.isoformat(),
            },
            group_key=signal_group(
                account_id=target.account_id, instrument_id=instrument, simulation=facts.simulation
            ),
        )
        request(run)

    def _refuse(self, refusal: Refusal) -> Answer:
        if self._facts.found is not None:
            # What is wrong is quoted, and may be the secret under another name.
            known = self._facts.target.credentials.secret_hashes
            refusal = replace(
                refusal,
                detail=without_secrets(refusal.detail, known),
                faults=tuple(
                    replace(fault, detail=without_secrets(fault.detail, known)) for fault in refusal.faults
                ),
            )
        self.log(Result(outcome=Outcome.REFUSED, status=refusal.status, refusal=refusal))
        return Answer(status=refusal.status, refusal=refusal)

    def _repeat(self, earlier: Earlier) -> Answer:
        self.log(Result(outcome=Outcome.DUPLICATE, status=earlier.status, order_id=earlier.order_id))
        return Answer(status=earlier.status, body=earlier.answer, repeated=True)

"""What of a delivery goes into the log. It is put where the answer is given, and written by a worker."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder

from apps.core import context, redaction
from apps.webhooks.codes import Outcome
from apps.webhooks.facts import Facts
from apps.webhooks.layers import Refusal
from apps.webhooks.masking import without_secrets

#: Characters of what is logged of a body, as JSON.
_BODY = 4096
_DETAIL = 1000


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of a delivery."""

    outcome: Outcome
    status: int
    refusal: Refusal | None = None
    order_id: UUID | None = None
    #: Why there was nothing to act upon: a code.
    idle: str = ""

    @property
    def code(self) -> str:
        """Why it was not acted upon; empty where it was."""
        return self.refusal.code if self.refusal else self.idle


def entry(*, facts: Facts, result: Result, at: datetime, started: float) -> dict[str, Any]:
    """The payload of `tasks.log_delivery`; *started* is of `time.perf_counter`."""
    asked, target, refusal, body = facts.parsed, facts.found, result.refusal, facts.arrival.body
    limited = result.code == "daily_limit"
    known = target.credentials.secret_hashes if target else ()
    return {
        "endpoint_id": target.endpoint_id if target else None,
        "at": at.astimezone(UTC).isoformat(),
        "address": facts.sender.address or None,
        "user_agent": without_secrets(facts.sender.user_agent, known),
        "format": facts.format.name,
        "outcome": result.outcome.value,
        "layer": refusal.layer if refusal else "",
        "code": result.code,
        "detail": without_secrets(_detail(facts, result), known)[:_DETAIL],
        # Of the account, by the database's clock.
        "day": target.now.date().isoformat() if target and limited else "",
        "status": result.status,
        "signal": asked.signal.value if asked and asked.signal else "",
        "symbol": without_secrets(asked.symbol.given, known) if asked and asked.symbol else "",
        "simulation": facts.simulation if asked and target else None,
        "order_id": result.order_id,
        "key": without_secrets(asked.key, known) if asked and target else "",
        # Of strangers nothing is kept but that they were here.
        "body": _shown(facts) if target else None,
        "body_digest": hashlib.sha256(body).hexdigest(),
        "size": facts.arrival.size,
        "milliseconds": round(1000 * (time.perf_counter() - started), 3),
        "request_id": context.known().request_id,
    }


def _detail(facts: Facts, result: Result) -> str:
    if result.refusal:
        return result.refusal.detail
    if facts.passed_over:
        return facts.passed_over.detail
    return facts.parsed.idle if facts.parsed else ""


def _shown(facts: Facts) -> Any:
    """The fields of the body, or its text where it has none, without secrets and not too much of it."""
    known = facts.target.credentials.secret_hashes
    fields = facts.parsed.fields if facts.parsed else facts.malformed.fields if facts.malformed else None
    if isinstance(fields, Mapping):
        fields = without_secrets(redaction.redact(fields), known)
        if len(facts.arrival.body) <= _BODY:
            return fields
        text = json.dumps(fields, cls=DjangoJSONEncoder, ensure_ascii=False)
        return fields if len(text) <= _BODY else f"{text[:_BODY]}…"
    text = facts.arrival.body[: 4 * _BODY].decode(errors="replace").replace("\0", "\ufffd")
    text = without_secrets(redaction.text(text), known)
    return text if len(text) <= _BODY else f"{text[:_BODY]}…"

"""Trying out a body: what each layer would say, with nothing done and nothing logged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apps.webhooks.codes import Layer, Outcome
from apps.webhooks.facts import Facts, Sender, facts_of, with_instrument, with_room_seen
from apps.webhooks.formats.base import Arrival, Format
from apps.webhooks.layers import ADMISSION, SCREENING, Repeated, Verdict, passes_over
from apps.webhooks.models import Endpoint


@dataclass(frozen=True, kw_only=True)
class Said:
    """What one layer says. Without a shape, the layers after it cannot say anything."""

    layer: Layer
    verdict: Verdict | None = None
    asked: bool = True

    @property
    def result(self) -> str:
        """In a word."""
        if not self.asked:
            return "not asked"
        if self.verdict is None:
            return "passed"
        return "repeated" if isinstance(self.verdict, Repeated) else "refused"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What would become of a delivery."""

    facts: Facts
    layers: Sequence[Said]

    @property
    def decisive(self) -> Said | None:
        """The layer that decides: the first that says anything."""
        return next((said for said in self.layers if said.verdict is not None), None)

    @property
    def outcome(self) -> Outcome:
        """What the log would say."""
        verdict = self.decisive.verdict if self.decisive else None
        if isinstance(verdict, Repeated):
            return Outcome.DUPLICATE
        if verdict is not None and not passes_over(self.facts, verdict):
            return Outcome.REFUSED
        return Outcome.RECORDED if verdict or self.facts.idle else Outcome.ACCEPTED

    @property
    def status(self) -> int:
        """Of the answer."""
        verdict = self.decisive.verdict if self.decisive else None
        if isinstance(verdict, Repeated):
            return verdict.earlier.status
        if verdict is not None and not passes_over(self.facts, verdict):
            return verdict.status
        return self.facts.format.accepted_status


def endpoint_try(*, endpoint: Endpoint, format: Format, arrival: Arrival, sender: Sender) -> Trial:  # noqa: A002
    """Ask every layer, also those behind the one that decides. Without Redis the layer ``rate`` passes."""
    facts = facts_of(format=format, token_hash=endpoint.token_hash, arrival=arrival, sender=sender)
    if facts.parsed is not None:
        facts = with_room_seen(facts)
        if not facts.idle:
            facts = with_instrument(facts)
    said: list[Said] = []
    for layer, function in zip(Layer, (*SCREENING, *ADMISSION), strict=True):
        unread = facts.parsed is None and any(one.layer == Layer.SHAPE for one in said)
        said.append(Said(layer=layer, asked=False) if unread else Said(layer=layer, verdict=function(facts)))
    return Trial(facts=facts, layers=said)

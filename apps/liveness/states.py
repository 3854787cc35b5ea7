"""The states of a trading worker's session, the events that move it, and which moves exist."""

from __future__ import annotations

from django.db import models

from apps.events.registry import EventType, register


class SessionState(models.TextChoices):
    """Where a worker's session stands."""

    ACTIVE = "active", "Active: the worker holds the token, and is expected to beat"
    STOPPED = "stopped", "Stopped: the worker ended it"
    REPLACED = "replaced", "Replaced: another worker of the user began"
    ORPHANED = "orphaned", "Orphaned: the worker was not heard of in time"
    DEAD = "dead", "Dead: somebody declared it dead"


#: Event -> (the state that it may find, the state it leaves). None: the session does not exist yet.
TRANSITIONS: dict[str, tuple[SessionState | None, SessionState]] = {
    "worker.started": (None, SessionState.ACTIVE),
    "worker.stopped": (SessionState.ACTIVE, SessionState.STOPPED),
    "worker.replaced": (SessionState.ACTIVE, SessionState.REPLACED),
    "worker.orphaned": (SessionState.ACTIVE, SessionState.ORPHANED),
    "worker.declared_dead": (SessionState.ACTIVE, SessionState.DEAD),
}

#: What every end says.
_END = frozenset({"reason", "last_seen_at"})

for _event in (
    EventType(
        name="worker.started",
        meaning="A trading worker began to work for its user; its token is the user's from now on.",
        fields=frozenset({"user_id", "token", "worker"}),
    ),
    EventType(name="worker.stopped", meaning="The worker ended its session.", fields=_END),
    EventType(name="worker.replaced", meaning="Another worker of the user began.", fields=_END),
    EventType(
        name="worker.orphaned",
        meaning="The worker was not heard of in time; kind says how that was found.",
        fields=_END | {"kind"},
    ),
    EventType(name="worker.declared_dead", meaning="Somebody declared the worker dead.", fields=_END),
):
    register(_event)

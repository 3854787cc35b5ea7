"""On whose behalf the code is running: carried by a context variable into every event and log line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Context:
    """Who acts and because of what. Empty strings mean "not known"."""

    #: ``user:<id>``, ``system``, ``task:<name>`` or ``beat:<entry>``.
    actor: str = ""
    #: The HTTP request that is being answered.
    request_id: str = ""
    #: The first cause: everything that follows from one request shares it.
    correlation_id: str = ""
    #: The immediate cause: the run whose handler is executing.
    causation_id: str = ""
    #: The worker process that executes.
    worker: str = ""
    #: The tick of a periodic task that is being requested (ISO 8601, UTC).
    scheduled_for: str = ""
    #: Where the HTTP request comes from: an IP address. For the audit, not stored with events.
    address: str = ""
    #: What the client calls itself, cut short. For the audit, not stored with events.
    user_agent: str = ""
    #: The W3C trace that all of it is a part of, and the part of it that the code belongs to.
    traceparent: str = ""
    #: Which attempt of the run it is whose handler is executing. For log lines, not stored with events.
    attempt: str = ""

    def as_meta(self) -> dict[str, str]:
        """The known parts, as they are stored with events."""
        return {key: value for key, value in self.__dict__.items() if value and key not in _NOT_STORED}


_NOT_STORED = frozenset({"address", "user_agent", "attempt"})
_NOBODY = Context()
_current: ContextVar[Context] = ContextVar("chandlery_context", default=_NOBODY)
_who: ContextVar[Callable[[], str] | None] = ContextVar("chandlery_who", default=None)


def current() -> Context:
    """The context in force here."""
    context = _current.get()
    if not context.actor and (who := _who.get()) is not None:
        return replace(context, actor=who())
    return context


def known() -> Context:
    """The context in force here, without an actor that would have to be asked for."""
    return _current.get()


def set_actor(actor: str) -> None:
    """Name who acts, from here to the end of the enclosing `bind`."""
    _current.set(replace(_current.get(), actor=actor))


@contextmanager
def actor_from(who: Callable[[], str]) -> Iterator[None]:
    """Have *who* asked for the actor within the block, whenever the context is asked for and names none.

    For actors that cost something to find out. What *who* finds it has to remember itself.
    """
    token = _who.set(who)
    try:
        yield
    finally:
        _who.reset(token)


@contextmanager
def bind(**changes: str) -> Iterator[Context]:
    """Change parts of the context for the duration of a block."""
    context = replace(_current.get(), **changes)
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)

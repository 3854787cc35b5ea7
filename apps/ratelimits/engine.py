"""What decides in a process: the limiter, guarded, with the rules in force."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from threading import Lock

from asgiref.sync import sync_to_async
from django.conf import settings

from apps.core.networks import Networks
from apps.ratelimits import conf, runtime
from apps.ratelimits.conf import Config
from apps.ratelimits.identity import Verified
from apps.ratelimits.keeper import Keeper
from apps.ratelimits.limiter import Charge, Decision, Limiter, Unavailable, connect
from apps.ratelimits.limiter.aio import AsyncLimiter, connect_async
from apps.ratelimits.limiter.breaker import Breaker
from apps.ratelimits.limiter.denials import Denials
from apps.ratelimits.limiter.local import LocalLimiter
from apps.ratelimits.rules import Ruleset, read_groups
from apps.ratelimits.tally import Tally

logger = logging.getLogger("apps.ratelimits")

#: Seconds after which rules are read again, though nothing said that they changed.
_READ_EVERY = 60.0


class Engine:
    """One for each process. Every method may be called by any number of threads."""

    def __init__(self, config: Config) -> None:
        self.config = config
        #: Kept, so that no other list is taken for it.
        self._given = settings.RATELIMITS_GROUPS
        self.groups = read_groups(self._given)
        self.plan_of = conf.plan_function(config.plan_of)
        url, timeout, cluster = config.redis_url, config.timeout, config.cluster
        self.limiter = Limiter(connect(url, timeout=timeout, cluster=cluster), prefix=config.prefix)
        self.async_limiter = AsyncLimiter(
            connect_async(url, timeout=timeout, cluster=cluster), prefix=config.prefix
        )
        self.local = LocalLimiter(share=config.processes)
        self.breaker = Breaker()
        self.denials = Denials()
        self.verified = Verified(trust_for=config.trust_for)
        self.tally = Tally(self.limiter.keys)
        self.keeper = Keeper(self.look_after)
        self._lock = Lock()
        self._rules = Ruleset(self.groups, allowed=Networks(config.allowed), denied=Networks(config.denied))
        #: Of the rules that were read, and as last told; null: read nothing yet.
        self._read: str | None = None
        self._told = ""
        self._read_at = 0.0
        self._has_read = False
        #: Seconds for which they are good, unless somebody changes them.
        self._good_for = _READ_EVERY

    # Rules --------------------------------------------------------------------------------------

    @property
    def stale(self) -> bool:
        """Whether the rules have to be read again."""
        return self._read != self._told or time.monotonic() - self._read_at > self._good_for

    def rules(self) -> Ruleset:
        """Those in force; read anew if somebody changed them."""
        if self.stale:
            self.read_rules()
        return self._rules

    async def arules(self) -> Ruleset:
        """`rules`, for coroutines."""
        if self.stale:
            await sync_to_async(self.read_rules)()
        return self._rules

    def read_rules(self) -> None:
        """Read them from the database; where that is away, those of before go on."""
        # Whoever comes while somebody reads goes on with those of before: the database may take its time.
        if not self._lock.acquire(blocking=not self._has_read):
            return
        try:
            if self.stale:
                self._read_rules()
        finally:
            self._lock.release()

    def _read_rules(self) -> None:
        told, good_for = self._told, _READ_EVERY
        try:
            self._rules = runtime.load(self.groups, allowed=self.config.allowed, denied=self.config.denied)
            good_for = min(_READ_EVERY, runtime.seconds_to_next_end())
        except Exception:
            # Whatever it is, requests must go on. It is tried again after as long as ever.
            logger.exception("the changes of rate limits could not be read")
        self.denials.forget()
        self._read, self._read_at, self._good_for = told, time.monotonic(), good_for
        self._has_read = True

    def announce(self) -> None:
        """Tell every process that rules or logs have changed; without Redis, within a minute."""
        try:
            self._hear(self.limiter.publish())
        except Unavailable as exc:
            logger.warning("a change of rate limits is seen within %g s: %s", _READ_EVERY, exc)
        self._read = None

    def _hear(self, version: str) -> None:
        if version != self._told:
            self._told = version
            self.denials.forget()

    # Decisions ----------------------------------------------------------------------------------

    def hit(self, charges: Sequence[Charge], cost: int) -> Decision:
        """As `Limiter.hit`; raises `Unavailable` at once while Redis is known to be away."""
        self.keeper.wake()
        self.breaker.check()
        asked_at = self.denials.now()
        try:
            decision = self.limiter.hit(charges, cost)
        except Unavailable as exc:
            self._fail(exc)
            raise
        return self._note(decision, asked_at)

    async def ahit(self, charges: Sequence[Charge], cost: int) -> Decision:
        """`hit`, for coroutines."""
        self.keeper.wake()
        self.breaker.check()
        asked_at = self.denials.now()
        try:
            decision = await self.async_limiter.hit(charges, cost)
        except Unavailable as exc:
            self._fail(exc)
            raise
        return self._note(decision, asked_at)

    def refund(self, charged: Decision) -> None:
        """Take a charge back; where Redis is away, it stays."""
        try:
            self.breaker.check()
            self.limiter.refund(charged)
        except Unavailable as exc:
            self._fail(exc)

    async def arefund(self, charged: Decision) -> None:
        """`refund`, for coroutines."""
        try:
            self.breaker.check()
            await self.async_limiter.refund(charged)
        except Unavailable as exc:
            self._fail(exc)

    def _note(self, decision: Decision, asked_at: float) -> Decision:
        self._hear(decision.version)
        if not decision.allowed:
            self.denials.learn(decision, asked_at)
        return decision

    def _fail(self, failure: Unavailable) -> None:
        self.tally.failed(failure)
        if failure.reason != "breaker" and self.breaker.open(failure):
            logger.error("rate limits go without Redis: %s", failure)

    # Beside requests ----------------------------------------------------------------------------

    def look_after(self) -> None:
        """What the keeper does: try a Redis that was away, bring counts there, hear of changes."""
        try:
            if self.breaker.failure is not None:
                self.limiter.probe()
                if self.breaker.close():
                    logger.info("rate limits have Redis again")
            self.tally.flush(self.limiter.transport)
            self._hear(self.limiter.version())
        except Unavailable as exc:
            if self.breaker.open(exc):
                logger.error("rate limits go without Redis: %s", exc)


_engine: Engine | None = None
_making = Lock()


def _begin_anew() -> None:
    """In a forked process: its parent's counts are not its own, and locks may be held by nobody."""
    global _engine, _making
    _engine, _making = None, Lock()


os.register_at_fork(after_in_child=_begin_anew)


def engine() -> Engine:
    """This process's engine, for the settings as they are now."""
    global _engine
    found, config = _engine, conf.config()
    if found is not None and (found.config is config or found.config == config):
        return found
    with _making:
        if _engine is None or _engine.config != config:
            if _engine is not None:
                _engine.keeper.stop()
            _engine = Engine(config)
        return _engine

"""What was decided, counted in each process and brought together in Redis every second."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter, deque
from collections.abc import Sequence
from threading import Lock
from typing import Any, NamedTuple

from django.http import HttpRequest

from apps.core import paths
from apps.ratelimits.limiter import Decision, Reason, Result, Unavailable
from apps.ratelimits.limiter.asking import Keys
from apps.ratelimits.limiter.scripts import script
from apps.ratelimits.limiter.transports import Transport

logger = logging.getLogger("apps.ratelimits")

#: Seconds of a list of consumers, and for how long it is kept.
BUCKET, KEPT = 600, 7200
#: Consumers of a list, and denials, that are kept.
MOST_CONSUMERS, MOST_DENIALS = 1000, 1000
#: Consumers that a process counts before it brings them to Redis, and that it brings at a time.
_MOST_HELD, _PIECE = 20_000, 500
#: Seconds for which one subject's denials by one policy make one line in the log.
_QUIET = 60.0

USED, DENIED = "used", "denied"


class Denial(NamedTuple):
    """One request that a policy denied, or would have."""

    at: float
    policy: str
    subject: str
    shadow: bool
    #: What was asked for.
    method: str
    path: str
    address: str


def consumers_key(keys: Keys, kind: str, policy: str, bucket: int) -> str:
    """Where the consumers of a policy in *bucket* are, as a sorted set; *kind* is `USED` or `DENIED`."""
    return f"{keys.tag}top|{kind}|{policy}|{bucket}"


def counts_key(keys: Keys) -> str:
    """Where counts are, as a hash."""
    return f"{keys.tag}counts"


def denials_key(keys: Keys) -> str:
    """Where the latest denials are, as a list."""
    return f"{keys.tag}denials"


class Tally:
    """Counts of this process that are not in Redis yet. What it held when it was killed is missing there."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._lock = Lock()
        self._counts: Counter[str] = Counter()
        self._consumers: Counter[tuple[str, str, str]] = Counter()
        self._denials: deque[Denial] = deque(maxlen=MOST_DENIALS)
        self._told: dict[tuple[str, str], float] = {}

    def count(self, kind: str, *labels: str) -> None:
        """One more of a kind with these labels."""
        field = "|".join((kind, *labels))
        with self._lock:
            self._counts[field] += 1

    def decided(self, decision: Decision, *, request: HttpRequest | None = None, address: str = "") -> None:
        """What policies said: who used how much of which, and who was denied what, by which request."""
        if decision.allowed:
            self._used(decision, decision.cost)
        told = [one for one in decision.results if one.full and (one.denied or decision.allowed)]
        if not told:
            return
        method, path = ("", "") if request is None else (request.method or "", paths.told(request))
        with self._lock:
            for one in told:
                mode = "shadow" if one.policy.shadow else "enforced"
                self._counts[f"denials|{one.policy.id}|{mode}"] += 1
                self._add(DENIED, one, 1)
                self._denials.append(
                    Denial(
                        at=time.time(), policy=one.policy.id, subject=one.subject, shadow=one.policy.shadow,
                        method=method[:16], path=path[:200], address=address,
                    )
                )  # fmt: skip
        for one in told:
            self._tell(one, method, path)

    def refunded(self, decision: Decision) -> None:
        """What was charged has been taken back."""
        self._used(decision, -decision.cost)

    def _used(self, decision: Decision, units: int) -> None:
        with self._lock:
            for one in decision.results:
                if one.taken:
                    self._add(USED, one, units)

    def _add(self, kind: str, one: Result, units: int) -> None:
        key = (kind, one.policy.id, one.subject)
        if key in self._consumers or len(self._consumers) < _MOST_HELD:
            self._consumers[key] += units

    def unidentified(self, request: HttpRequest) -> None:
        """A request whose address nobody knows, so that no rule by address applies to it."""
        self.count("unidentified")
        if self._is_news(("", "")):
            logger.warning(
                "a request has no address, and is not counted by one (TRUSTED_PROXIES?): %s",
                paths.told(request),
            )

    def failed(self, failure: Unavailable) -> None:
        """Redis gave no answer, or was not asked for one."""
        if failure.reason is not Reason.BREAKER:
            self.count("failures", failure.reason.value)

    def _tell(self, one: Result, method: str, path: str) -> None:
        if self._is_news((one.policy.id, one.subject)):
            what = "would be denied" if one.policy.shadow else "is denied"
            logger.info("%s %s by %s: %s %s", one.subject, what, one.policy.id, method, path)

    def _is_news(self, key: tuple[str, str]) -> bool:
        """Whether it is a while since the log was told of it."""
        now = time.monotonic()
        with self._lock:
            if self._told.get(key, 0.0) > now:
                return False
            if len(self._told) >= MOST_DENIALS:
                self._told.clear()
            self._told[key] = now + _QUIET
            return True

    def flush(self, transport: Transport) -> None:
        """Bring everything to Redis, piece by piece. Raises `Unavailable`, and keeps what is not there."""
        with self._lock:
            if not (self._counts or self._consumers or self._denials):
                return
            counts, self._counts = self._counts, Counter()
            consumers, self._consumers = list(self._consumers.items()), Counter()
            denials, self._denials = self._denials, deque(maxlen=MOST_DENIALS)
        try:
            while counts or denials or consumers:
                self._send(transport, counts, denials, consumers[:_PIECE])
                del consumers[:_PIECE]
                counts.clear()
                denials.clear()
        except Unavailable:
            with self._lock:
                self._counts.update(counts)
                self._consumers.update(dict(consumers))
                self._denials.extendleft(reversed(denials))
            raise

    def _send(
        self,
        transport: Transport,
        counts: Counter[str],
        denials: deque[Denial],
        consumers: Sequence[tuple[tuple[str, str, str], int]],
    ) -> None:
        bucket = int(time.time()) // BUCKET
        lists: dict[str, dict[str, int]] = {}
        for (kind, policy, subject), units in consumers:
            lists.setdefault(consumers_key(self._keys, kind, policy, bucket), {})[subject] = units
        keys = [counts_key(self._keys), denials_key(self._keys), *lists]
        arguments: list[Any] = [
            json.dumps(counts),
            json.dumps([json.dumps(denial) for denial in denials]),
            MOST_DENIALS,
            MOST_CONSUMERS,
            KEPT,
            *(json.dumps(one) for one in lists.values()),
        ]
        transport.run(
            script("tally"), [key.encode() for key in keys], [str(one).encode() for one in arguments]
        )

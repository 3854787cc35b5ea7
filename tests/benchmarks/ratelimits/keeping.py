"""What is kept of charges, in bytes."""

from __future__ import annotations

import hashlib
from itertools import count
from typing import Any

import redis
from django.conf import settings

from apps.ratelimits.limiter import Charge, Limiter, Policy, connect
from apps.ratelimits.limiter.scripts import Script
from apps.ratelimits.limiter.transports import Bytes, Transport
from tests.benchmarks.experiment import Experiment, Failed, Samples
from tests.benchmarks.figures import Figure, Goal, Kind
from tests.benchmarks.ratelimits.clients import HOUR

_CLOCK = "bench-clock"
#: As far from where times begin anew as an hour is not.
_BEGIN = 1_000_000_000_000
_PEER = "a sorted set with a member for each"
_number = count()


class _Timed:
    """A transport that has scripts read their time from `_CLOCK`; nothing else of them is changed."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._scripts: dict[bytes, Script] = {}

    def run(self, script: Script, keys: Bytes, arguments: Bytes) -> Any:
        if script.digest not in self._scripts:
            real, own = b"redis.call('TIME')", f"redis.call('HMGET', '{_CLOCK}', 's', 'us')".encode()
            if script.text.count(real) != 1:
                raise Failed("the script does not read the time once")
            text = script.text.replace(real, own)
            digest = hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()
            self._scripts[script.digest] = Script(text=text, digest=digest)
        return self._transport.run(self._scripts[script.digest], keys, arguments)

    def command(self, *parts: Any) -> Any:
        return self._transport.command(*parts)


class Keeping(Experiment):
    """Charges spread over an hour by a clock that is set for each."""

    figures = (
        Figure(
            name="memory-1000h",
            what="one subject's log with 1,000 of 1000/h charged",
            unit="bytes",
            peer=_PEER,
            goal=Goal(kind=Kind.RATIO_AT_MOST, value=1 / 12),
        ),
        Figure(
            name="memory-ticks",
            what="one subject's log with 5,000 of 5000/h charged, which is kept in ticks",
            unit="bytes",
            peer=_PEER,
            goal=Goal(kind=Kind.OURS_AT_MOST, value=800),
        ),
    )

    def prepare(self) -> None:
        url = settings.REDIS_URL
        self._client = self.bench.closing.enter_context(redis.Redis.from_url(url))
        self._limiter = Limiter(_Timed(connect(url, timeout=5)), prefix="bench")
        for figure in self.figures:
            self.remarks[figure.name] = "members are <seconds>-<counter>; with a UUID, they take a third more"

    def measure(self, turn: int) -> Samples:
        return {
            "memory-1000h": self._bytes(Policy("bench/log", 1000, HOUR)),
            "memory-ticks": self._bytes(Policy("bench/ticks", 5000, HOUR)),
        }

    def _bytes(self, policy: Policy) -> tuple[float, float]:
        subject = f"kept:{next(_number)}"
        peer = f"kept:{subject}"
        for number in range(policy.limit):
            moment = _BEGIN + number * policy.window // policy.limit
            self._client.hset(_CLOCK, mapping={"s": moment // 1000, "us": moment % 1000 * 1000 + 500})
            if not self._limiter.hit([Charge(policy, subject)]).allowed:
                raise Failed("what is below the limit was denied")
        if self._limiter.hit([Charge(policy, subject)]).allowed:
            raise Failed("the log is not full")
        for number in range(policy.limit):
            seconds = (_BEGIN + number * policy.window / policy.limit) / 1000
            self._client.zadd(peer, {f"{seconds!r}-{number}": seconds})
        return self._usage(self._limiter.keys.log(policy, subject)), self._usage(peer)

    def _usage(self, key: bytes | str) -> float:
        found: Any = self._client.memory_usage(key, samples=0)
        return float(found)

"""Workers that beat and reapers that look for the dead, each in its process; and what must hold of them."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import redis

from apps.liveness.leases import Beat, Claim, LeaseSet, Timing
from tests.liveness.leasing import server_time

Life = tuple[str, int]
#: The server's clock counts microseconds, and a score is as exact as that.
_EXACT = 2e-6


class Kind(Enum):
    """How a worker lives."""

    BEATS = "always"
    STOPS = "after some beats it is silent for good"
    NAPS = "it is silent now and then for about as long as makes an orphan"
    SLEEPS = "it is silent until it was reaped, and goes on then"


@dataclass(kw_only=True)
class Lived:
    """What a worker knows of its life under one token."""

    member: str
    token: int
    kind: Kind
    #: The server's time before and after the last beat that was acknowledged.
    heard: tuple[float, float]
    fenced: bool = False


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A claim, as its reaper saw it."""

    claim: Claim
    #: The server's time of the claim.
    at: float
    #: Whether it was acknowledged; else the reaper died of it.
    settled: bool

    @property
    def life(self) -> Life:
        """Whose."""
        return self.claim.member, self.claim.token or 0


def wrong(lives: Iterable[Lived], taken: Sequence[Taken], orphan_after: float) -> list[str]:
    """Everything that must not be."""
    found = []
    of = {(one.member, one.token): one for one in lives}
    settled = Counter(one.life for one in taken if one.settled)
    first = Counter(one.life for one in taken if one.claim.beat_at is not None)
    found += [f"{life} was reaped {count} times" for life, count in first.items() if count > 1]
    found += [f"{life} was settled {count} times" for life, count in settled.items() if count > 1]
    for one in taken:
        lived, beat_at = of.get(one.life), one.claim.beat_at
        if lived is None:
            found.append(f"{one.life} never lived")
        elif beat_at is not None:
            before, after = lived.heard
            if not before - _EXACT <= beat_at <= after + _EXACT:
                found.append(
                    f"{one.life} was heard in {before:.6f}–{after:.6f}, not at {beat_at:.6f} at last"
                )
            if one.at - beat_at < orphan_after - _EXACT:
                found.append(f"{one.life} was reaped {one.at - beat_at:.6f} s after a beat")
    for life, lived in of.items():
        if lived.fenced and not first[life]:
            found.append(f"{life} was fenced and never reaped")
        if (lived.fenced or lived.kind is Kind.STOPS) and not settled[life]:
            found.append(f"{life} was never settled")
    return found


def lease_set(client: redis.Redis, name: str, timing: Timing) -> LeaseSet:
    return LeaseSet(name, timing, lambda: client)


# Workers -----------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class _Worker:
    lived: Lived
    beats: int
    #: How often it is silent before it only beats.
    silences: int
    silent_until: float = 0.0
    over: list[Lived] = field(default_factory=list)

    @property
    def played(self) -> bool:
        """Whether it has nothing before it but what it does now."""
        return self.silences == 0


class _Workers:
    """Those of one process, who take turns."""

    def __init__(self, client: redis.Redis, leases: LeaseSet, seed: int) -> None:
        self._client, self._leases = client, leases
        self._random = random.Random(seed)

    def begin(self, member: str, token: int, kind: Kind) -> _Worker:
        silences = {Kind.BEATS: 0, Kind.STOPS: 1, Kind.NAPS: 3, Kind.SLEEPS: 1}[kind]
        return _Worker(lived=self._register(member, token, kind), beats=self._some(), silences=silences)

    def _some(self) -> int:
        return self._random.randint(1, 10)

    def _register(self, member: str, token: int, kind: Kind) -> Lived:
        before = server_time(self._client)
        answer = self._leases.register(member, token)
        if answer is not Beat.BEATING:
            raise RuntimeError(f"{member} cannot register under {token}: {answer}")
        return Lived(member=member, token=token, kind=kind, heard=(before, server_time(self._client)))

    def turn(self, one: _Worker) -> None:
        lived = one.lived
        if one.silent_until:
            gone = lived.kind is Kind.SLEEPS and self._client.zscore(self._leases.name, lived.member) is None
            if not gone and time.monotonic() < one.silent_until:
                return
            one.silent_until, one.beats = 0.0, self._some()
            one.silences -= 1
        elif one.silences and one.beats == 0:
            one.silent_until = float("inf")
            if lived.kind is Kind.STOPS:
                one.silences = 0
            elif lived.kind is Kind.NAPS:
                share = self._random.uniform(0.9, 1.2)
                one.silent_until = time.monotonic() + share * self._leases.timing.orphan_after
            return
        before = server_time(self._client)
        answer = self._leases.beat(lived.member, lived.token)
        if answer is Beat.BEATING:
            lived.heard = (before, server_time(self._client))
            one.beats = max(0, one.beats - 1)
        elif answer is Beat.FENCED:
            lived.fenced = True
            one.over.append(lived)
            one.lived = self._register(lived.member, lived.token + 1_000_000, lived.kind)
        else:
            raise RuntimeError(f"{lived.member} is to register again")


def work(
    url: str, name: str, timing: Timing, members: Sequence[Life], played: Any, stop: Any, out: Any
) -> None:
    """Live *members* until *stop*; sets *played* when nothing new is to come; puts a list of `Lived`."""
    kinds = list(Kind)
    with redis.Redis.from_url(url, socket_timeout=60) as client:
        workers = _Workers(client, lease_set(client, name, timing), seed=members[0][1])
        own = [workers.begin(*life, kinds[number % 4]) for number, life in enumerate(members)]
        while not stop.is_set():
            for one in own:
                workers.turn(one)
            if all(one.played for one in own):
                played.set()
    out.put([life for one in own for life in (*one.over, one.lived)])


# Reapers -----------------------------------------------------------------------------------------


def take(client: redis.Redis, leases: LeaseSet, claim: Claim, *, settled: bool) -> Taken:
    """Settle a claim; or die of it, and its time is over at once."""
    held, entry = leases.keys[3], f"{claim.token}|{claim.member}"
    claim_for = leases.timing.claim_for
    at = client.zscore(held, entry) - claim_for
    if settled:
        leases.acknowledge([claim])
    else:
        client.zincrby(held, -2 * claim_for, entry)
    return Taken(claim=claim, at=at, settled=settled)


def reap(
    url: str, name: str, timing: Timing, barrier: Any, stop: Any, out: Any, *, mortal: bool = False
) -> None:
    """Look for the dead in step with the others until *stop*; puts a list of `Taken`.

    One that is *mortal* dies of every second claim.
    """
    taken: list[Taken] = []
    with redis.Redis.from_url(url, socket_timeout=60) as client:
        leases = lease_set(client, name, timing)
        with suppress(threading.BrokenBarrierError):
            while not stop.is_set():
                barrier.wait(60)
                for claim in leases.reap(limit=7).claims:
                    taken.append(take(client, leases, claim, settled=not (mortal and len(taken) % 2)))
        barrier.abort()
    out.put(taken)


def reap_naively(client: redis.Redis, name: str, timing: Timing, barrier: threading.Barrier) -> list[Taken]:
    """Read who is late, and then, when the others have read too, remove those: what a reaper must not do."""
    now = server_time(client)
    late = client.zrangebyscore(name, "-inf", now - timing.orphan_after, withscores=True)
    barrier.wait(60)
    barrier.wait(60)
    taken = []
    for member, beat_at in late:
        client.zrem(name, member)
        claim = Claim(member=member.decode(), token=1, beat_at=beat_at)
        taken.append(Taken(claim=claim, at=now, settled=True))
    return taken

"""What is known of who asked for what: from Redis, for operators. Everything raises `Unavailable`."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from apps.ratelimits.engine import Engine, engine
from apps.ratelimits.limiter import Charge, Result
from apps.ratelimits.rules import Rule
from apps.ratelimits.tally import (
    BUCKET,
    DENIED,
    KEPT,
    USED,
    Denial,
    consumers_key,
    counts_key,
    denials_key,
)

#: Seconds of the longest list of consumers.
LONGEST = KEPT - BUCKET


@dataclass(frozen=True, kw_only=True)
class Consumer:
    """Who used a policy, and how much of it."""

    policy: str
    subject: str
    #: Units that were charged, and requests that were denied or would have been.
    used: int
    denied: int


@dataclass(frozen=True, kw_only=True)
class Count:
    """One of the counts since Redis was empty: its kind, its labels, and how many."""

    kind: str
    labels: tuple[str, ...]
    count: int


def consumers(policy: str, *, seconds: int = 3600, most: int = 20) -> list[Consumer]:
    """Who used *policy* most in the last *seconds*, counted in steps of ten minutes, the current included."""
    limits = engine()
    used = _scores(limits, USED, policy, seconds)
    denied = _scores(limits, DENIED, policy, seconds)
    found = [
        Consumer(policy=policy, subject=subject, used=used.get(subject, 0), denied=denied.get(subject, 0))
        for subject in used.keys() | denied.keys()
    ]
    found.sort(key=lambda one: (-(one.used + one.denied), one.subject))
    return found[:most]


def _scores(limits: Engine, kind: str, policy: str, seconds: int) -> dict[str, int]:
    now = int(time.time()) // BUCKET
    found: dict[str, int] = {}
    for bucket in range(now - min(seconds, LONGEST) // BUCKET, now + 1):
        key = consumers_key(limits.limiter.keys, kind, policy, bucket)
        pairs = limits.limiter.transport.command("ZRANGE", key.encode(), b"0", b"-1", b"WITHSCORES")
        for subject, score in _pairs(pairs):
            found[subject] = found.get(subject, 0) + int(float(score))
    return found


def denials(*, most: int = 100) -> list[Denial]:
    """The latest requests that were denied, or would have been, the latest first."""
    limits = engine()
    key = denials_key(limits.limiter.keys).encode()
    return [
        Denial(*json.loads(one))
        for one in limits.limiter.transport.command("LRANGE", key, b"0", b"%d" % (most - 1))
    ]


def counts() -> list[Count]:
    """Everything that is counted, of all processes."""
    limits = engine()
    key = counts_key(limits.limiter.keys).encode()
    found = []
    for field, count in _pairs(limits.limiter.transport.command("HGETALL", key)):
        kind, *labels = field.split("|")
        found.append(Count(kind=kind, labels=tuple(labels), count=int(count)))
    return sorted(found, key=lambda one: (one.kind, one.labels))


def usage(subject: str, *, plan: str = "") -> list[Result]:
    """How much of each policy *subject* has used, where it has used any."""
    limits = engine()
    policies = [
        policy
        for group in limits.rules().groups
        for rule in group.rules
        if (policy := rule.policy(plan)) is not None
    ]
    charges = [Charge(policy, subject) for policy in policies]
    return [one for one in limits.limiter.stats(charges) if one.used] if charges else []


def standings(rule: Rule, subjects: Sequence[str]) -> dict[str, list[tuple[str, Result]]]:
    """What each of *subjects* has used of *rule* now: for everybody (plan ""), and for each plan."""
    limits = engine()
    found: dict[str, list[tuple[str, Result]]] = {one: [] for one in subjects}
    for plan in ("", *rule.plans):
        policy = rule.policy(plan)
        if policy is not None and subjects:
            for one in limits.limiter.stats([Charge(policy, subject) for subject in subjects]):
                found[one.subject].append((plan, one))
    return found


def _pairs(found: object) -> list[tuple[str, str]]:
    """Names with their values, of the flat list that one server answers, or the mapping that another does."""
    if isinstance(found, dict):
        flat = [one for pair in found.items() for one in pair]
    else:
        assert isinstance(found, list)
        flat = [one for each in found for one in (each if isinstance(each, list | tuple) else (each,))]
    texts = [one.decode() if isinstance(one, bytes) else str(one) for one in flat]
    return list(zip(texts[::2], texts[1::2], strict=True))

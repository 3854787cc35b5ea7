"""One population with leases."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from apps.liveness.leases.scripts import Client, answered, run
from apps.liveness.leases.values import Beat, Claim, Counts, Mark, Reaped, Timing, Verdict

#: A member and the token of its holder.
Holder = tuple[str, int]
Item = TypeVar("Item")

#: Members that one script handles: so many that the server is not busy with them for as long as a millisecond
#: or two.
_AT_A_TIME = 500


def _slices(items: Iterable[Item]) -> Iterator[list[Item]]:
    iterator = iter(items)
    while part := list(islice(iterator, _AT_A_TIME)):
        yield part


def _text(value: Any) -> str:
    # What somebody wrote that is no text goes back to the server as it was.
    return value.decode(errors="surrogateescape") if isinstance(value, bytes) else str(value)


def _texts(values: list[Any]) -> list[str]:
    """`_text` of all, which takes longer one by one than finding them does."""
    try:
        return list(map(bytes.decode, values))
    except (UnicodeDecodeError, TypeError):
        return [_text(one) for one in values]


def _flat(holders: Iterable[tuple[str, Any]]) -> list[Any]:
    """Members as they are stored, each with its token."""
    return [value for member, token in holders for value in (member.encode(errors="surrogateescape"), token)]


class LeaseSet:
    """Who is alive of one population, in Redis.

    The key *name* itself is a sorted set: its members, each with the time of the last beat (Unix seconds by
    the server's clock). Everything else lies beside it under the hash tag ``{name}``, so that all of one set
    is in one slot of a Redis Cluster.

    A member's holder has a token: an integer that the database gives out, higher for every later holder. A
    beat counts only with the registered token, so whoever was declared dead, or was followed by another, is
    told so (`Beat.FENCED`) and cannot come back.

    - `reap` is one step: of any number of reapers each orphan is claimed by one, and one that has beaten
      before it is claimed by none. What a reaper claims is its own until the claim runs out, and another's
      after that.
    - Only `acknowledge` forgets a claim; call it once what follows from the death is committed.
    - Until `rebuild`, a set whose server has lost it refuses to be acted on.

    Every method may be called from several threads, and raises `Unavailable` when Redis does not answer.
    """

    def __init__(
        self,
        name: str,
        timing: Timing,
        client: Callable[[], Client],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.timing = timing
        self._client = client
        #: Another clock than the server's, which tells when that one is set.
        self._clock = clock
        tag = "{" + name + "}"
        self._tokens, self._starts = f"{tag}:tokens", f"{tag}:starts"
        self._claims, self._meta = f"{tag}:claims", f"{tag}:meta"
        self._renew_keys = (self.name, self._tokens)

    @property
    def keys(self) -> tuple[str, ...]:
        """Everything that the set has in Redis."""
        return (self.name, self._tokens, self._starts, self._claims, self._meta)

    def _run(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        return run(self._client, script, keys, arguments)

    def _for_each(self, script: str, keys: Sequence[str], holders: Iterable[tuple[str, Any]]) -> list[int]:
        answers: list[int] = []
        for part in _slices(holders):
            answers += self._run(script, keys, _flat(part))
        return answers

    # Holders --------------------------------------------------------------------------------------

    def beat(self, member: str, token: int) -> Beat:
        """Say that *member*'s holder is alive."""
        if run(self._client, "renew", self._renew_keys, (member, token)):
            return Beat.BEATING
        return self.beat_many([(member, token)])[0]

    def beat_many(self, holders: Iterable[Holder]) -> list[Beat]:
        """`beat` for each, in order."""
        return [Beat(one) for one in self._for_each("beat", (self.name, self._tokens, self._meta), holders)]

    def register(self, member: str, token: int) -> Beat:
        """Give *member* a mark under *token*, in place of any earlier token.

        `Beat.FENCED`: a later one is registered, or a reaper has claimed this one.
        """
        return self.register_many([(member, token)])[0]

    def register_many(self, holders: Iterable[Holder]) -> list[Beat]:
        """`register` for each, in order."""
        keys = (self.name, self._tokens, self._starts, self._claims)
        return [Beat(one) for one in self._for_each("register", keys, holders)]

    def release(self, member: str, token: int | None) -> bool:
        """Take *member* out, if *token* is the registered one (None: if it has none)."""
        return self.release_many([(member, token)])[0]

    def release_many(self, holders: Iterable[tuple[str, int | None]]) -> list[bool]:
        """`release` for each, in order."""
        keys = (self.name, self._tokens, self._starts)
        asked = [(member, "" if token is None else token) for member, token in holders]
        return [bool(one) for one in self._for_each("release", keys, asked)]

    # Reapers --------------------------------------------------------------------------------------

    def reap(self, *, limit: int = 100, force: bool = False) -> Reaped:
        """Claim at most *limit* orphans for the caller, if the set is fit to be acted on.

        *force* acts although most of the population is late at once.
        """
        timing = self.timing
        arguments = (
            timing.orphan_after, timing.start_grace, timing.claim_for, limit, timing.mass_share,
            timing.mass_of, int(force), f"{self._clock():.6f}",
        )  # fmt: skip
        verdict, members, orphans, wait, at, *found = self._run("reap", self.keys, arguments)
        return Reaped(
            verdict=Verdict(_text(verdict)),
            members=members,
            orphans=orphans,
            wait=wait / 1000,
            at=float(at),
            claims=tuple(
                Claim(
                    member=_text(member),
                    token=int(token) if token else None,
                    beat_at=float(beat_at) if beat_at else None,
                )
                for member, token, beat_at in zip(found[::3], found[1::3], found[2::3], strict=True)
            ),
        )

    def acknowledge(self, claims: Iterable[Claim]) -> None:
        """Forget claims: what follows from them is committed."""
        for part in _slices(claims):
            entries = [
                f"{'' if one.token is None else one.token}|{one.member}".encode(errors="surrogateescape")
                for one in part
            ]
            with answered():
                self._client().zrem(self._claims, *entries)

    def restore(self, claim: Claim, *, alive: bool = True) -> bool:
        """Put a claimed member back; False: somebody has registered it meanwhile.

        As *alive*, it has just beaten. Otherwise it is as late as it was, for the next look to find it again;
        a claim that an earlier reaper left behind stays one then.
        """
        if claim.token is None:
            raise ValueError("a member without a token is nobody's")
        if not alive and claim.beat_at is None:
            return False
        keys = (self.name, self._tokens, self._claims)
        beat_at = "" if alive else f"{claim.beat_at:.6f}"
        return bool(self._run("restore", keys, (*_flat([(claim.member, claim.token)]), beat_at)))

    def rebuild(self, holders: Iterable[Holder]) -> int:
        """Say that the set is complete with these, of whom those without a mark get one as of now.

        Nothing is reaped from then on until everybody has had time to beat. Returns how many there were.
        """
        count: int = sum(
            self._run("rebuild", (self.name, self._tokens), _flat(part)) for part in _slices(holders)
        )
        self._run("boot", (self._meta,), ())
        return count

    # Readers --------------------------------------------------------------------------------------

    def stale(self, *, limit: int = 100, seconds: float | None = None) -> list[str]:
        """At most *limit* members that have not beaten for *seconds* (an orphan's), the oldest first."""
        seconds = self.timing.orphan_after if seconds is None else seconds
        if limit <= _AT_A_TIME:
            return _texts(self._run("stale", (self.name,), (seconds, limit)))
        # In two steps: handing over a thousand names takes a script longer than the second trip.
        latest = float(self._run("now", (self.name,), ())) - seconds
        with answered():
            return _texts(self._client().zrangebyscore(self.name, "-inf", latest, start=0, num=limit))

    def counts(self) -> Counts:
        """How many members are in which condition."""
        arguments = (self.timing.stale_after, self.timing.orphan_after)
        members, late, orphaned, claimed, booted = self._run(
            "counts", (self.name, self._claims, self._meta), arguments
        )
        return Counts(
            alive=members - late,
            stale=late - orphaned,
            orphaned=orphaned,
            claimed=claimed,
            booted=None if booted < 0 else booted / 1000,
        )

    def look(self, holders: Iterable[Holder]) -> list[tuple[Mark | None, bool]]:
        """For each, its mark, and whether a reaper has claimed it under this token."""
        found: list[tuple[Mark | None, bool]] = []
        for part in _slices(holders):
            now, *facts = self._run(
                "look",
                (self.name, self._tokens, self._claims),
                _flat(part),
            )
            for (member, _), token, beat_at, claimed in zip(
                part, facts[::3], facts[1::3], facts[2::3], strict=True
            ):
                mark = None
                if beat_at:
                    mark = Mark(
                        member=member,
                        token=int(token) if token else None,
                        age=max(0.0, float(now) - float(beat_at)),
                        beat_at=float(beat_at),
                    )
                found.append((mark, bool(claimed)))
        return found

    def marks(self) -> Iterator[list[Mark]]:
        """All marks in slices, without keeping the server busy: what changes meanwhile may be in or not."""
        cursor: int = 0
        while True:
            with answered():
                found: Any = self._client().zscan(self.name, cursor, count=_AT_A_TIME)
                cursor, page = found
                members = [member for member, _ in page]
                tokens: list[Any] = self._client().hmget(self._tokens, members) if members else []
            now = float(self._run("now", (self.name,), ()))
            yield [
                Mark(
                    member=_text(member),
                    token=int(token) if token else None,
                    age=max(0.0, now - beat_at),
                    beat_at=beat_at,
                )
                for (member, beat_at), token in zip(page, tokens, strict=True)
            ]
            if not cursor:
                return

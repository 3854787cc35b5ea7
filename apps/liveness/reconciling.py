"""Looking for orphans, and settling them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from apps.liveness import populations, scans
from apps.liveness.leases import Mark, Reaped, Unavailable, Verdict
from apps.liveness.leases.leaseset import Holder
from apps.liveness.populations import Kind, Orphan, Outcome, Population

#: Orphans that are settled in one step.
_LIMIT = 200
#: Marks that are compared with the database at a time.
_COMPARED = 5000
#: Orphans of one population that a scan names.
_NAMED = 20

#: Why a population was left alone.
_REFUSALS = {
    Verdict.LOST: "Redis had lost the set; it was rebuilt, and members have time to beat",
    Verdict.GRACE: "the set was rebuilt, or its server restarted: members have time to beat",
    Verdict.CLOCK: "the clock of Redis was set: members have time to beat",
    Verdict.MASS: "most of the population is late at once; an operator may override that",
}


@dataclass(kw_only=True)
class PopulationScan:
    """What was found in one population."""

    name: str
    members: int = 0
    found: Counter[Kind] = field(default_factory=Counter)
    acted: Counter[Kind] = field(default_factory=Counter)
    #: Why it was left alone; empty: it was not.
    refused: str = ""
    #: Whether an operator has to decide.
    mass: bool = False
    #: Some of the orphans.
    orphans: list[Orphan] = field(default_factory=list)

    def note(self, orphan: Orphan, *, acted: bool) -> None:
        """Count an orphan."""
        self.found[orphan.kind] += 1
        if acted:
            self.acted[orphan.kind] += 1
        if len(self.orphans) < _NAMED:
            self.orphans.append(orphan)


@dataclass(kw_only=True)
class ScanResult:
    """What one look at all populations came to."""

    duration: float = 0.0
    populations: list[PopulationScan] = field(default_factory=list)

    @property
    def members(self) -> int:
        """Of all populations."""
        return sum(one.members for one in self.populations)

    @property
    def found(self) -> int:
        """Orphans of all kinds."""
        return sum(one.found.total() for one in self.populations)

    @property
    def acted(self) -> int:
        """Those of them that were settled."""
        return sum(one.acted.total() for one in self.populations)


def reconcile_orphans(*, dry_run: bool = False, force: bool = False) -> ScanResult:
    """Find orphans of all kinds in all populations and settle them; record the scan.

    Any number of processes may do this at the same time: each orphan is settled once. A *dry_run* changes
    and records nothing. *force* acts where most of a population is late at once.

    Each population is committed for itself; what goes wrong in one does not keep the others from being
    looked at, and is raised at the end.
    """
    began = time.monotonic()
    result, errors = ScanResult(), []
    held = set()
    for population in populations.everyone():
        found = PopulationScan(name=population.name)
        result.populations.append(found)
        try:
            if population.held_by in held:
                found.refused = f"{population.held_by}: {_REFUSALS[Verdict.MASS]}"
            else:
                _Look(population, found, dry_run=dry_run, force=force).run()
        except Exception as exc:
            found.refused = f"{type(exc).__name__}: {exc}"
            errors.append(exc)
        if found.mass:
            held.add(population.name)
    result.duration = time.monotonic() - began
    if not dry_run:
        scans.record(result)
    if errors:
        raise errors[0]
    return result


class _Look:
    """One look at one population."""

    def __init__(self, population: Population, found: PopulationScan, *, dry_run: bool, force: bool) -> None:
        self._population = population
        self._leases = population.leases
        self._found = found
        self._dry_run = dry_run
        self._force = force

    def run(self) -> None:
        try:
            reaped = self._leases.reap(limit=0 if self._dry_run else _LIMIT, force=self._force)
            self._found.members = reaped.members
            if reaped.verdict is Verdict.LOST and not self._dry_run:
                self._found.members = self._leases.rebuild(
                    holder for part in self._population.holders() for holder in part
                )
            if reaped.verdict is not Verdict.ACTED:
                self._found.refused = _REFUSALS[reaped.verdict]
                self._found.mass = reaped.verdict is Verdict.MASS
            self._late(reaped)
            if reaped.verdict is Verdict.ACTED:
                self._unmarked(self._population.overdue())
                self._marks()
        except Unavailable as exc:
            self._found.refused = f"Redis does not answer: {exc}"
            self._by_the_database_alone()

    def _by_the_database_alone(self) -> None:
        timing = self._leases.timing
        silent = [holder for part in self._population.unheard() for holder in part]
        members = sum(len(part) for part in self._population.holders())
        self._found.members = members
        if not self._force and members >= timing.mass_of and len(silent) > timing.mass_share * members:
            self._found.refused += f"; {_REFUSALS[Verdict.MASS]}"
            self._found.mass = True
            self._found.found[Kind.ORPHAN_TASK] += len(silent)
            return
        for at in range(0, len(silent), _LIMIT):
            self._settle([_unmarked(holder) for holder in silent[at : at + _LIMIT]])

    # Marks that are late --------------------------------------------------------------------------

    def _late(self, reaped: Reaped) -> None:
        if self._dry_run:
            if reaped.verdict in (Verdict.ACTED, Verdict.MASS):
                self._preview(reaped.orphans)
            return
        while self._settle_claims(reaped) and len(reaped.claims) == _LIMIT:
            reaped = self._leases.reap(limit=_LIMIT, force=self._force)
        if reaped.verdict is Verdict.MASS:
            self._found.found[Kind.STALE_MARK] += reaped.orphans

    def _preview(self, count: int) -> None:
        members = self._leases.stale(limit=count)
        marks = [mark for mark, _ in self._leases.look([(one, 0) for one in members]) if mark is not None]
        self._settle([_late(mark) for mark in marks])

    def _settle_claims(self, reaped: Reaped) -> bool:
        """Whether any is settled: others would be found again at once, as late as they are."""
        claims, done = reaped.claims, []
        orphans = [
            Orphan(
                member=one.member,
                token=one.token,
                kind=Kind.STALE_MARK,
                silence=None if one.beat_at is None else timedelta(seconds=reaped.at - one.beat_at),
            )
            for one in claims
        ]
        for claim, outcome in zip(claims, self._settle(orphans), strict=True):
            if outcome in (Outcome.ALIVE, Outcome.BUSY):
                self._leases.restore(claim, alive=outcome is Outcome.ALIVE)
            else:
                done.append(claim)
        self._leases.acknowledge(done)
        return bool(done)

    # What has no mark, and what has nothing but one ----------------------------------------------

    def _unmarked(self, candidates: Iterator[Sequence[Holder]]) -> None:
        for part in candidates:
            looks = self._leases.look(part)
            orphans = [
                _unmarked(holder)
                for holder, (mark, claimed) in zip(part, looks, strict=True)
                if not claimed and (mark is None or mark.token != holder[1])
            ]
            self._found.members += sum(mark is None for mark, _ in looks)
            self._settle(orphans)

    def _marks(self) -> None:
        """Marks are read before the database: who registers is known there first."""
        orphan_after, lag = self._leases.timing.orphan_after, self._population.lag
        for page in _larger(self._leases.marks()):
            current = self._population.current([mark.member for mark in page])
            known = [mark for mark in page if mark.token == current.get(mark.member, -1)]
            surplus = [
                mark
                for mark in page
                if mark.token != current.get(mark.member, -1) and (mark.age > lag or mark.token is None)
            ]
            if self._dry_run:
                # Those that are late were counted already.
                for mark in surplus:
                    if mark.age <= orphan_after:
                        self._found.note(_surplus(mark), acted=False)
                continue
            self._population.seen([mark for mark in known if mark.age <= orphan_after])
            released = self._leases.release_many([(mark.member, mark.token) for mark in surplus])
            for mark, done in zip(surplus, released, strict=True):
                if done:
                    self._found.note(_surplus(mark), acted=True)

    # ----------------------------------------------------------------------------------------------

    def _settle(self, orphans: Sequence[Orphan]) -> Sequence[Outcome]:
        if not orphans:
            return []
        act = self._population.judge if self._dry_run else self._population.end
        outcomes = act(orphans)
        for orphan, outcome in zip(orphans, outcomes, strict=True):
            if outcome is Outcome.UNKNOWN:
                if orphan.kind is Kind.STALE_MARK:
                    mark = Orphan(
                        member=orphan.member,
                        token=orphan.token,
                        kind=Kind.ORPHAN_MARK,
                        silence=orphan.silence,
                    )
                    self._found.note(mark, acted=not self._dry_run)
            elif outcome is not Outcome.ALIVE:
                self._found.note(orphan, acted=outcome is Outcome.ENDED and not self._dry_run)
        return outcomes


def _larger(pages: Iterator[list[Mark]]) -> Iterator[list[Mark]]:
    """The database answers for many as soon as for few."""
    marks: list[Mark] = []
    for page in pages:
        marks += page
        if len(marks) >= _COMPARED:
            yield marks
            marks = []
    yield marks


def _late(mark: Mark) -> Orphan:
    return Orphan(
        member=mark.member, token=mark.token, kind=Kind.STALE_MARK, silence=timedelta(seconds=mark.age)
    )


def _surplus(mark: Mark) -> Orphan:
    return Orphan(
        member=mark.member, token=mark.token, kind=Kind.ORPHAN_MARK, silence=timedelta(seconds=mark.age)
    )


def _unmarked(holder: Holder) -> Orphan:
    return Orphan(member=holder[0], token=holder[1], kind=Kind.ORPHAN_TASK)

"""What liveness watches of the platform: its processes, and the runs that its workers hold."""

from __future__ import annotations

import logging
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Now
from django.urls import reverse

from apps.liveness import conf as liveness_conf
from apps.liveness.leases import LeaseSet, Mark, Timing, Unavailable
from apps.liveness.leases.leaseset import Holder
from apps.liveness.marks import lease_set
from apps.liveness.populations import Description, Kind, Orphan, Outcome, Work
from apps.tasks import claims, conf
from apps.tasks.models import Process, TaskRun
from apps.tasks.states import State

logger = logging.getLogger(__name__)

_SLICE = 1000


def process_leases() -> LeaseSet:
    """The marks of processes: ``process:all``, whose members are the ids of their rows."""
    return lease_set(
        "process:all",
        Timing(
            stale_after=liveness_conf.stale_after(),
            orphan_after=liveness_conf.orphan_after(),
            claim_for=liveness_conf.claim_for(),
            mass_share=liveness_conf.mass_share(),
            mass_of=liveness_conf.mass_of(),
        ),
    )


def run_leases() -> LeaseSet:
    """The leases of running runs: ``run:all``, whose members are run ids, with the tokens of their claims.

    Only runs that last longer than the time between two renewals come here.
    """
    return lease_set(
        "run:all",
        Timing(
            stale_after=conf.lease() / 2,
            orphan_after=conf.lease(),
            claim_for=liveness_conf.claim_for(),
            # The runs of one dead worker are one death. Whether most workers died at once is asked of these.
            mass_share=1.0,
        ),
    )


def _uuids(members: Sequence[str]) -> dict[uuid.UUID, str]:
    found = {}
    for member in members:
        try:
            found[uuid.UUID(member)] = member
        except ValueError:
            continue
    return found


def _slices(rows: QuerySet[Any], token: str) -> Iterator[Sequence[Holder]]:
    last = uuid.UUID(int=0)
    while part := list(rows.filter(pk__gt=last).order_by("pk").values_list("pk", token)[:_SLICE]):
        yield [(str(id_), number) for id_, number in part]
        last = part[-1][0]


class _ByRows(ABC):
    """A population whose members are the ids of rows."""

    #: The name of the column with the token.
    fencing = ""

    @property
    @abstractmethod
    def leases(self) -> LeaseSet:
        """Its marks."""

    @abstractmethod
    def rows(self) -> QuerySet[Any]:
        """Those of members."""

    @abstractmethod
    def unheard_for(self, seconds: float) -> QuerySet[Any]:
        """Those of members that the database has not heard of for so long beyond the time of an orphan."""

    def holders(self) -> Iterator[Sequence[Holder]]:
        yield from _slices(self.rows(), self.fencing)

    def overdue(self) -> Iterator[Sequence[Holder]]:
        yield from _slices(self.unheard_for(0.0), self.fencing)

    def unheard(self) -> Iterator[Sequence[Holder]]:
        yield from _slices(self.unheard_for(liveness_conf.fallback_after()), self.fencing)

    def current(self, members: Sequence[str]) -> Mapping[str, int]:
        ids = _uuids(members)
        return {
            ids[id_]: token for id_, token in self.rows().filter(pk__in=ids).values_list("pk", self.fencing)
        }

    def seen(self, marks: Sequence[Mark]) -> None:
        """Nothing: members write their rows themselves."""
        return

    def judge(self, orphans: Sequence[Orphan]) -> Sequence[Outcome]:
        ids = _uuids([one.member for one in orphans])
        current = self.current([one.member for one in orphans])
        late = {ids[id_] for id_ in self.unheard_for(0.0).filter(pk__in=ids).values_list("pk", flat=True)}
        return [
            Outcome.UNKNOWN
            if one.token is None or current.get(one.member) != one.token
            else Outcome.ENDED
            if one.member in late
            else Outcome.ALIVE
            for one in orphans
        ]


class Processes(_ByRows):
    """Workers, relays and beats. One that is lost is shown as vanished; its runs are another population."""

    name = "processes"
    title = "Processes of the platform"
    consequence = (
        "What it runs is taken from it and goes elsewhere at once. Should it be alive, it ends itself with"
        " its next report."
    )
    lag = 0.0
    held_by = ""
    fencing = "token"

    @property
    def leases(self) -> LeaseSet:
        return process_leases()

    def rows(self) -> QuerySet[Process]:
        return Process.objects.filter(ended_at=None, lost_at=None)

    def unheard_for(self, seconds: float) -> QuerySet[Process]:
        limit = timedelta(seconds=self.leases.timing.orphan_after + seconds)
        return self.rows().filter(seen_at__lt=Now() - limit)

    def end(self, orphans: Sequence[Orphan]) -> Sequence[Outcome]:
        outcomes = list(self.judge(orphans))
        for index, (orphan, outcome) in enumerate(zip(orphans, outcomes, strict=True)):
            if outcome is Outcome.ENDED and orphan.token is not None:
                found = self.unheard_for(0.0).filter(pk=orphan.member, token=orphan.token)
                done = found.update(lost_at=Now(), reason=_reason(orphan))
                outcomes[index] = Outcome.ENDED if done else Outcome.BUSY
        return outcomes

    def declare_dead(self, member: str, reason: str) -> bool:
        """Its runs go elsewhere at once. One that is alive ends itself with its next report."""
        with transaction.atomic():
            process = self.rows().select_for_update(no_key=True).filter(pk__in=_uuids([member])).first()
            if process is None:
                return False
            self.rows().filter(pk=process.pk).update(lost_at=Now(), reason=reason, condemned=True)
            if process.kind == Process.Kind.WORKER:
                claims.take_from(process.name, reason)
        try:
            self.leases.release(member, process.token)
        except Unavailable as exc:
            # A mark without a process: the next look for orphans finds it.
            logger.warning("the mark of process %s stays for now: %s", process.name, exc)
        return True

    def describe(self, members: Sequence[str]) -> Mapping[str, Description]:
        processes = self.rows().filter(pk__in=_uuids(members))
        work: dict[str, list[Work]] = {}
        runs = TaskRun.objects.filter(state=State.RUNNING, worker__in=[one.name for one in processes])
        for id_, task, worker in runs.values_list("pk", "task", "worker"):
            work.setdefault(worker, []).append(Work(label=task, url=_url(id_)))
        return {
            str(one.pk): Description(
                label=one.name,
                url=reverse("admin:tasks_process_change", args=[one.pk]),
                detail=one.kind,
                work=work.get(one.name, []),
            )
            for one in processes
        }


class Runs(_ByRows):
    """Running runs. An orphan is taken from its worker: scheduled again, dead, or cancelled if asked for."""

    name = "runs"
    title = "Running runs"
    consequence = (
        "The run is taken from its worker: it is scheduled again, or dead if no attempt is left. Whatever the"
        " worker may still report of it is refused."
    )
    held_by = "processes"
    fencing = "fence"

    @property
    def leases(self) -> LeaseSet:
        return run_leases()

    @property
    def lag(self) -> float:
        """A worker takes the marks of ended runs away when it renews the others."""
        return self.leases.timing.orphan_after

    def rows(self) -> QuerySet[TaskRun]:
        return TaskRun.objects.filter(state=State.RUNNING)

    def holders(self) -> Iterator[Sequence[Holder]]:
        """One whose lease in the database holds still needs no mark: most runs end before that."""
        yield from self.overdue()

    def unheard_for(self, seconds: float) -> QuerySet[TaskRun]:
        return self.rows().filter(lease_until__lt=Now() - timedelta(seconds=seconds))

    def end(self, orphans: Sequence[Orphan]) -> Sequence[Outcome]:
        outcomes = list(self.judge(orphans))
        wanted = [
            (uuid.UUID(one.member), one.token)
            for one, outcome in zip(orphans, outcomes, strict=True)
            if outcome is Outcome.ENDED and one.token is not None
        ]
        taken = {str(one.run_id) for one in claims.take(wanted)}
        for index, (orphan, outcome) in enumerate(zip(orphans, outcomes, strict=True)):
            if outcome is Outcome.ENDED and orphan.member not in taken:
                # Its end is being recorded, or its lease renewed.
                outcomes[index] = Outcome.BUSY
        return outcomes

    def declare_dead(self, member: str, reason: str) -> bool:
        run = self.rows().filter(pk__in=_uuids([member])).first()
        if run is None:
            return False
        return claims.orphan(run_id=run.pk, worker=run.worker, fence=run.fence, reason=reason) is not None

    def describe(self, members: Sequence[str]) -> Mapping[str, Description]:
        runs = self.rows().filter(pk__in=_uuids(members)).only("task", "worker")
        return {str(run.pk): Description(label=run.task, url=_url(run.pk), detail=run.worker) for run in runs}


def runs_of_users(user_ids: Sequence[int]) -> dict[int, list[Work]]:
    """The running runs that users have asked for."""
    actors = {f"user:{user_id}": user_id for user_id in user_ids}
    found: dict[int, list[Work]] = {}
    runs = TaskRun.objects.filter(state=State.RUNNING).alias(actor=KeyTextTransform("actor", "meta"))
    for id_, task, actor in runs.filter(actor__in=actors).values_list("pk", "task", "meta__actor"):
        found.setdefault(actors[actor], []).append(Work(label=task, url=_url(id_)))
    return found


def _url(run_id: uuid.UUID) -> str:
    return reverse("admin:tasks_taskrun_change", args=[run_id])


def _reason(orphan: Orphan) -> str:
    if orphan.kind is Kind.STALE_MARK and orphan.silence is not None:
        return f"it has not beaten for {orphan.silence.total_seconds():.0f} s"
    return "it has no mark, and has not reported in time"

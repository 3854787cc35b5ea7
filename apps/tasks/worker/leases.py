"""The leases of a worker's runs."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Sequence

from apps.liveness import conf as liveness_conf
from apps.liveness.leases import Beat, Unavailable
from apps.tasks import claims
from apps.tasks.holdings import Holding
from apps.tasks.models import TaskRun
from apps.tasks.populations import run_leases
from apps.tasks.states import State
from apps.tasks.worker.mainloop import MainLoop
from apps.tasks.worker.requests import DurableRequest, in_hand

logger = logging.getLogger(__name__)


class RunLeases:
    """Keeps the leases of the runs that this worker's processes execute, and notices those that it has lost.

    A claim gives a lease in the database. What lasts longer has a mark in Redis, renewed by one script for
    all runs; the database hears of it a few times in the time after which it is asked alone, and every time
    while Redis is away.
    """

    def __init__(self, loop: MainLoop, worker: str) -> None:
        self._loop = loop
        self._worker = worker
        #: Run -> the token of the claim under which it has a mark.
        self._marked: dict[uuid.UUID, int] = {}
        #: The requests that held their runs at the last look, with the tokens of their claims.
        self._holding: dict[DurableRequest, int] = {}
        #: Those that did not hold them any more, and are still executed.
        self._suspects: dict[DurableRequest, int] = {}
        self._next_written = 0.0
        self._away = False

    def renew(self, held: Sequence[Holding]) -> None:
        """Renew the leases of the runs in hand, of what the worker *held* a moment ago."""
        executing = {one.run_id: one for one in list(in_hand) if one.run_id is not None}
        renewed = [one for one in held if one.run_id in executing]
        now = time.monotonic()
        if not self._mark(renewed) or now >= self._next_written:
            if renewed:
                claims.renew(run_ids=[one.run_id for one in renewed], worker=self._worker)
            self._next_written = now + liveness_conf.fallback_after() / 3
        self._look_for_lost(held)
        self._holding = {executing[one.run_id]: one.fence for one in renewed}

    def keep(self) -> None:
        """The database is away: say in Redis at least that the runs are still executed."""
        executing = {one.run_id for one in list(in_hand)}
        marked = [(str(run_id), fence) for run_id, fence in self._marked.items() if run_id in executing]
        try:
            run_leases().beat_many(marked)
        except Unavailable as exc:
            logger.warning("neither the database nor Redis hears of the runs: %s", exc)

    def release(self) -> None:
        """The worker ends: take all marks away."""
        try:
            run_leases().release_many((str(run_id), fence) for run_id, fence in self._marked.items())
        except Unavailable as exc:
            logger.warning("marks of runs stay for now: %s", exc)
        self._marked = {}

    def _mark(self, renewed: Sequence[Holding]) -> bool:
        """Whether Redis has heard of all of these."""
        leases = run_leases()
        wanted = {one.run_id: one.fence for one in renewed}
        known = [
            (str(run_id), fence) for run_id, fence in self._marked.items() if wanted.get(run_id) == fence
        ]
        over = [(str(run_id), fence) for run_id, fence in self._marked.items() if wanted.get(run_id) != fence]
        marked = {member for member, _ in known}
        new = [(str(run_id), fence) for run_id, fence in wanted.items() if str(run_id) not in marked]
        try:
            leases.release_many(over)
            answers = leases.beat_many(known)
            # The database has just said that they are held: Redis lost them, or a reaper is about to ask it.
            new += [one for one, answer in zip(known, answers, strict=True) if answer is not Beat.BEATING]
            answers = leases.register_many(new)
        except Unavailable as exc:
            if not self._away:
                logger.warning("leases are renewed in the database: Redis does not answer: %s", exc)
            self._away = True
            return False
        self._away = False
        self._marked = wanted
        return all(answer is Beat.BEATING for answer in answers)

    def _look_for_lost(self, held: Sequence[Holding]) -> None:
        """End handlers whose runs were taken from this worker: what they do counts no more."""
        holds = {one.run_id: one.fence for one in held}
        suspects = {
            request: fence
            for request, fence in {**self._suspects, **self._holding}.items()
            if request in in_hand and request.run_id is not None and holds.get(request.run_id) != fence
        }
        for request, fence in suspects.items():
            # A run that has just ended is no loss: its process says so in a moment.
            if request in self._suspects and _lost(request, fence) and self._loop.can_kill:
                logger.warning("run %s was taken from this worker: its handler is ended", request.id)
                self._loop.stop(request)
        self._suspects = suspects


def _lost(request: DurableRequest, fence: int) -> bool:
    run = TaskRun.objects.filter(pk__in=[request.run_id]).values("fence", "state").first()
    return run is not None and (run["fence"] != fence or run["state"] in (State.SCHEDULED, State.QUEUED))

"""Cancelling and deleting backtests."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from django.db import transaction

from apps.backtests.models import Backtest
from apps.tasks.models import TaskRun
from apps.tasks.services import WrongState, cancel
from apps.tasks.states import State


class Ended(Exception):
    """There is nothing left to be cancelled."""


@transaction.atomic
def backtest_cancel(*, backtest: Backtest, actor: str) -> None:
    """Cancel a backtest: for good where it has not started, within moments where it runs.

    Candles that are being fetched for it go on being fetched, and are stored. Raises `Ended` when it has
    ended, and `Backtest.DoesNotExist` when it was deleted meanwhile.
    """
    if not _cancelled(_locked(backtest), actor):
        raise Ended("This backtest has ended.")


@transaction.atomic
def backtest_delete(*, backtest: Backtest, actor: str) -> None:
    """Delete a backtest, and its result where no other has it. One that runs is cancelled first.

    Raises `Backtest.DoesNotExist` when somebody has deleted it meanwhile.
    """
    found = _locked(backtest)
    _cancelled(found, actor)
    found.delete()


def _locked(backtest: Backtest) -> Backtest:
    """The backtest as it is now, locked: before its runs, in the order in which a run that stores does."""
    return Backtest.objects.select_for_update().get(pk=backtest.pk)


def _cancelled(backtest: Backtest, actor: str) -> bool:
    """Cancel what there is of a backtest's runs; whether there was anything."""
    done = [_cancel(run, actor) for run in (backtest.fetch_run, backtest.task_run)]
    return any(done)


def _cancel(run: UUID | None, actor: str) -> bool:
    if run is None:
        return False
    with suppress(WrongState, TaskRun.DoesNotExist):
        return cancel(run_id=run, actor=actor) in (State.CANCELLED, State.RUNNING)
    return False

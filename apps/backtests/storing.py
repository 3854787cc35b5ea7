"""Storing results, each once, and letting go of those that no backtest has any more."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models.signals import post_delete, pre_delete
from django.dispatch import receiver

from apps.backtests.columns import Curve, encode_curve, encode_trades
from apps.backtests.engine import Bars, Result, downsample
from apps.backtests.heavy import write_heavy
from apps.backtests.models import Backtest, BacktestResult
from apps.backtests.report.drawing import drawing_of, encode_drawing
from apps.core.database import execute
from apps.core.resources import sql

logger = logging.getLogger(__name__)

# Where what a deletion began with has the results of what goes with it.
_LEFT = "_results_left"
#: Points of the preview of an equity curve.
PREVIEW = 2_000


def known_result(result: Result) -> BacktestResult | None:
    """The stored result of this identity, locked until the end of the transaction."""
    found: BacktestResult | None = (
        BacktestResult.objects.select_for_update()
        .filter(
            spec_hash=result.spec_hash,
            data_fingerprint=result.data_fingerprint,
            engine_version=result.engine_version,
        )
        .first()
    )
    if found is not None and found.fingerprint != result.fingerprint:
        logger.error(
            "result %s has the fingerprint %s, and computing it again gave %s",
            found.pk, found.fingerprint, result.fingerprint,
        )  # fmt: skip
    return found


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A result as it is stored, not stored yet."""

    #: Without its heavy columns.
    row: BacktestResult
    trades: bytes
    equity: bytes
    drawing: bytes


def packed(
    result: Result,
    curve: Curve,
    *,
    bars: Sequence[Bars],
    cash: float,
    maker: UUID,
    certificate: dict[str, Any] | None,
    timings: dict[str, float],
) -> Packed:
    """A result made ready to be stored: this compresses it.

    *bars* are those of each instrument, in the order of the backtest *maker*, which began with *cash*.
    """
    kept = curve.at(downsample(curve.value, PREVIEW))
    row = BacktestResult(
        spec_hash=result.spec_hash,
        data_fingerprint=result.data_fingerprint,
        engine_version=result.engine_version,
        fingerprint=result.fingerprint,
        bars=len(curve),
        trade_count=len(result.trades),
        metrics=result.metrics,
        equity={"ts": kept.ts.tolist(), "value": kept.value.tolist()},
        ambiguous=result.ambiguous,
        bounds=result.bounds,
        certificate=certificate,
        maker=maker,
        timings=timings,
        trades_data=b"",
    )
    # The curve takes as long as the rest; compressing keeps no other thread of Python waiting.
    with ThreadPoolExecutor(1) as beside:
        equity = beside.submit(encode_curve, curve)
        trades = encode_trades(result.trades, curve.ts)
        drawing = encode_drawing(drawing_of(bars, cash))
        return Packed(row=row, trades=trades, equity=equity.result(), drawing=drawing)


def result_keep(*, result: Result, pack: Callable[[], Packed]) -> tuple[BacktestResult, bool]:
    """The stored result of this identity, and whether this call has stored it. In a transaction.

    It is locked until the end of the transaction, so that it does not go meanwhile. *pack* is called only
    where there is none yet.
    """
    while True:
        found = known_result(result)
        if found is not None:
            return found, False
        # Whoever stores the same at this moment is waited for.
        made = pack()
        BacktestResult.objects.bulk_create([made.row], ignore_conflicts=True)
        found = known_result(result)
        if found is not None and found.pk == made.row.pk:
            write_heavy(found.pk, trades=made.trades, equity=made.equity, drawing=made.drawing)
            return found, True


def result_held(result_id: UUID) -> bool:
    """Whether this result is there and stays until the end of the transaction. This waits for nobody.

    It is gone, too, where somebody deletes it at this moment, or looks whether to. Whoever has one may
    therefore ask for others, in any order.
    """
    with execute(sql(__package__, "hold_result.sql"), {"id": result_id}) as cursor:
        return cursor.fetchone() is not None


@receiver(pre_delete, sender=Backtest, dispatch_uid="backtests.look_again")
def look_again(instance: Backtest, origin: Any, **_: Any) -> None:
    """What is deleted is locked, and has the result of now: it may have been given one since it was read.

    Whoever stores that result is waited for; whoever comes later finds the backtest gone.
    """
    held = Backtest.objects.select_for_update().filter(pk=instance.pk)
    instance.result_id = held.values_list("result_id", flat=True).first()
    if instance.result_id is not None:
        vars(origin).setdefault(_LEFT, set()).add(instance.result_id)


@receiver(post_delete, sender=Backtest, dispatch_uid="backtests.let_go")
def let_go(origin: Any, **_: Any) -> None:
    """With the last backtest that has it, a result goes too, however the backtest went.

    By the first of these signals all backtests of the deletion are gone. Their results are locked in the
    order of their ids: of two who delete at once, neither waits for the other while that waits for it.
    """
    left = vars(origin).pop(_LEFT, None)
    if left:
        held = BacktestResult.objects.select_for_update().filter(pk__in=left).order_by("pk")
        pks = list(held.values_list("pk", flat=True))
        BacktestResult.objects.filter(pk__in=pks, backtests=None).delete()

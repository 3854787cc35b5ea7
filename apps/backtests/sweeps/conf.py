"""The settings of sweeps, each with its default. Read when asked for, so tests may override them."""

from __future__ import annotations

from django.conf import settings


def max_combinations() -> int:
    """``BACKTESTS_MAX_COMBINATIONS``: the most combinations of one sweep (50,000)."""
    return int(getattr(settings, "BACKTESTS_MAX_COMBINATIONS", 50_000))


def max_sweep_work() -> float:
    """``BACKTESTS_MAX_SWEEP_WORK``: the most bars times cost of a bar, of all combinations together (1e13).

    That is up to an hour of one core. Without numba a simulation counts forty times as much.
    """
    return float(getattr(settings, "BACKTESTS_MAX_SWEEP_WORK", 1e13))


def chunk_work() -> float:
    """``BACKTESTS_SWEEP_CHUNK_WORK``: work of one chunk, in the same units (5e9: a second or two)."""
    return float(getattr(settings, "BACKTESTS_SWEEP_CHUNK_WORK", 5e9))


def max_folds() -> int:
    """``BACKTESTS_MAX_FOLDS``: the most folds of a walk-forward (60)."""
    return int(getattr(settings, "BACKTESTS_MAX_FOLDS", 60))

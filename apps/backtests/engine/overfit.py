"""How much of a result is luck: Sharpe ratios deflated for the number of trials, and overfitting measures.

Sharpe ratios here are per period and not annualised (divide an annual one by the square root of the
periods a year, a variance of annual ones by the periods), with a risk-free rate of 0.

Sources: [1] D. H. Bailey, M. López de Prado, "The Sharpe Ratio Efficient Frontier", Journal of Risk 15(2),
2012. [2] the same, "The Deflated Sharpe Ratio", Journal of Portfolio Management 40(5), 2014. [3] D. H.
Bailey, J. M. Borwein, M. López de Prado, Q. J. Zhu, "The Probability of Backtest Overfitting", 2015
(Journal of Computational Finance 20(4), 2017). [4] C. Spearman, "The Proof and Measurement of Association
between Two Things", American Journal of Psychology 15(1), 1904.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from apps.backtests.engine.bars import Floats

_NORMAL = NormalDist()
_EULER = 0.5772156649015329
# Spread below this part of a column's size is rounding, not variation.
_ROUNDING = 1e-12

MOST_BLOCKS = 16
MEMORY = 4 * 2**20


@dataclass(frozen=True, kw_only=True)
class Moments:
    """What a Sharpe ratio's uncertainty depends on.

    Attributes:
        count: number of period returns, at least 2.
        sharpe: mean / sample standard deviation, per period.
        skew: third central moment over the 3/2 power of the second, both divided by *count*.
        kurtosis: fourth central moment over the square of the second; 3 for a normal distribution.
    """

    count: int
    sharpe: float
    skew: float
    kurtosis: float

    @classmethod
    def of(cls, returns: Floats) -> Moments | None:
        """Moments of period *returns*; None if there are fewer than 2, or they do not vary."""
        count = len(returns)
        if count < 2:
            return None
        largest = float(np.abs(returns).max())
        if not 0 < largest < math.inf:
            return None
        scaled = returns / largest  # powers stay within float64
        mean = float(scaled.mean())
        away = scaled - mean
        squares = away * away
        second = float(squares.mean())
        if not second > _ROUNDING**2:
            return None
        return cls(
            count=count,
            sharpe=mean / math.sqrt(second * count / (count - 1)),
            skew=float((squares * away).mean()) / second**1.5,
            kurtosis=float((squares * squares).mean()) / second**2,
        )


def probabilistic_sharpe(moments: Moments, benchmark: float = 0.0) -> float | None:
    """Probability that the true Sharpe ratio exceeds *benchmark* [1, eq. 11]; None where it is undefined."""
    sharpe = moments.sharpe
    spread = 1 - moments.skew * sharpe + (moments.kurtosis - 1) / 4 * sharpe * sharpe
    if not (spread > 0 and math.isfinite(spread)):
        return None
    return _NORMAL.cdf((sharpe - benchmark) * math.sqrt(moments.count - 1) / math.sqrt(spread))


def expected_maximum_sharpe(trials: float, variance: float) -> float:
    """Highest Sharpe ratio to expect of *trials* strategies without skill [2, eq. 1]; 0 for one.

    *trials* is the number of independent trials, at least 1 (see ``effective_trials``); *variance* is
    the variance of the trials' Sharpe ratios.
    """
    if not trials >= 1 or not variance >= 0:
        raise ValueError("there is at least one trial, and a variance is not negative")
    quantile, rarer = 1 - 1 / trials, 1 - 1 / (trials * math.e)
    if quantile <= 0:
        return 0.0
    highest = (1 - _EULER) * _NORMAL.inv_cdf(quantile) + _EULER * _NORMAL.inv_cdf(rarer)
    return math.sqrt(variance) * max(highest, 0.0)


def deflated_sharpe(moments: Moments, *, trials: float, variance: float) -> float | None:
    """Probability that the best of *trials* has skill [2, eq. 2]: its Sharpe ratio against the expected
    maximum. With one trial it is the probabilistic Sharpe ratio against 0."""
    return probabilistic_sharpe(moments, expected_maximum_sharpe(trials, variance))


def effective_trials(returns: Floats) -> float:
    """Number of independent trials that K correlated ones are worth, from period returns ``(T, K)``.

    r + (1 - r) K with r the mean correlation of two trials, not below 0 [2, appendix]. Trials whose
    returns do not vary count as uncorrelated. Between 1 and K; K where it cannot be estimated (T below 3).
    """
    rows, count = len(returns), int(returns.shape[1])
    if count < 2 or rows < 3:
        return float(count)
    total = np.zeros(rows)
    varying = 0
    for start in range(0, count, 256):
        part = returns[:, start : start + 256]
        away = part - part.mean(axis=0)
        length = np.sqrt(np.einsum("tk,tk->k", away, away))
        kept = length > _ROUNDING * math.sqrt(rows) * np.abs(part).max(axis=0)
        total += (away[:, kept] / length[kept]).sum(axis=1)
        varying += int(np.count_nonzero(kept))
    # The squared length of the sum of unit vectors is the sum of all correlations, with themselves too.
    mean: float = (float((total * total).sum()) - varying) / (count * (count - 1))
    shared = min(max(mean, 0.0), 1.0)
    return shared + (1 - shared) * count


@dataclass(frozen=True, kw_only=True, eq=False)
class Overfitting:
    """Combinatorially symmetric cross-validation of K strategies [3]: how the best of one half of the time
    does in the other half, over all ways to halve the blocks, in the order of ``itertools.combinations``.

    Attributes:
        probability: of overfitting (PBO): share of the splits in which the best in sample is at or
            below the median out of sample.
        logits: ln(w / (1 - w)) of each split, w the relative rank (0 to 1) out of sample of the best in
            sample.
        best_inside, best_outside: its Sharpe ratio per period in and out of sample, each split.
        loss: share of the splits in which its Sharpe ratio out of sample is negative.
        slope: of *best_outside* on *best_inside* (performance degradation); None if the latter does not vary.
    """

    probability: float
    logits: Floats
    best_inside: Floats
    best_outside: Floats
    loss: float
    slope: float | None


def overfitting(returns: Floats, *, blocks: int = MOST_BLOCKS, memory: int = MEMORY) -> Overfitting:
    """Probability of backtest overfitting of K >= 2 strategies from their period returns ``(T, K)``.

    *blocks* is even, 2 to 16; the T >= 2 *blocks* periods are cut into so many consecutive blocks, whose
    lengths differ by 1 at most. A strategy that does not vary in a half has a Sharpe ratio of 0 there.
    Ties share their mean rank.

    Besides *returns* this takes 1 KiB per strategy, a copy of one block, and at most *memory* bytes at a time
    for splits, but at least what one split needs: 64 K bytes. (16 blocks of 10,000 strategies: 15 MB and
    128,700,000 Sharpe ratios.) *memory* does not change the result.

    Raises:
        ValueError: a shape or number that does not fit, or returns that are not finite.
    """
    if returns.ndim != 2 or returns.shape[1] < 2:
        raise ValueError("returns have the shape (periods, strategies), with at least 2 strategies")
    if blocks % 2 or not 2 <= blocks <= MOST_BLOCKS:
        raise ValueError(f"the number of blocks is even and from 2 to {MOST_BLOCKS}, not {blocks}")
    if len(returns) < 2 * blocks:
        raise ValueError(f"{blocks} blocks need {2 * blocks} periods, not {len(returns)}")
    sums = _Blocks.of(returns, blocks)
    # Each split and its mirror image are one computation: block 0 is always in the first half.
    chosen = np.zeros((math.comb(blocks - 1, blocks // 2 - 1), blocks), np.bool_)
    for row, rest in zip(chosen, combinations(range(1, blocks), blocks // 2 - 1), strict=True):
        row[[0, *rest]] = True
    size = max(1, memory // (64 * returns.shape[1]))
    logits, inside, outside = (np.empty(2 * len(chosen)) for _ in range(3))
    for start in range(0, len(chosen), size):
        part = chosen[start : start + size]
        one, other = sums.sharpe(part), sums.sharpe(~part)
        place = np.arange(start, start + len(part))
        # The mirror images of the first half of all combinations are the second half, backwards.
        for seen, unseen, at in ((one, other, place), (other, one, -1 - place)):
            rows, best = np.arange(len(part)), seen.argmax(axis=1)
            inside[at] = seen[rows, best]
            outside[at] = unseen[rows, best]
            logits[at] = _logits(unseen, outside[at])
    return Overfitting(
        probability=float(np.mean(logits <= 0)),
        logits=logits,
        best_inside=inside,
        best_outside=outside,
        loss=float(np.mean(outside < 0)),
        slope=_slope(inside, outside),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Blocks:
    """Sums of returns less their column's mean, and of their squares, from which Sharpe ratios follow.

    Blocks are in groups of 4 and there is a sum for each of the 16 subsets of each group, so that a union
    of blocks costs one addition per group. (A matrix product would say the same, but BLAS gives it
    to threads, which is several times slower where the processors have other work.)
    """

    lengths: Floats  # (S,)
    sums: Floats  # (groups, 16, K)
    squares: Floats  # (groups, 16, K)
    means: Floats  # (K,)

    @classmethod
    def of(cls, returns: Floats, blocks: int) -> _Blocks:
        edges = np.arange(blocks + 1) * len(returns) // blocks
        means = returns.mean(axis=0)
        if not np.isfinite(means).all():
            raise ValueError("returns are finite")
        shape = (-(-blocks // 4), 16, len(means))
        sums, squares = np.zeros(shape), np.zeros(shape)
        for at in range(blocks):
            # Sums of squares about the mean keep their digits where the mean is large.
            part = returns[edges[at] : edges[at + 1]] - means
            group, bit = divmod(at, 4)
            for table, row in ((sums, part.sum(axis=0)), (squares, np.einsum("tk,tk->k", part, part))):
                for subset in range(1 << bit):
                    np.add(table[group, subset], row, out=table[group, subset + (1 << bit)])
        return cls(lengths=np.diff(edges).astype(np.float64), sums=sums, squares=squares, means=means)

    def sharpe(self, chosen: NDArray[np.bool_]) -> Floats:
        """Sharpe ratios, shape ``(B, K)``, over the blocks that the rows of *chosen*, ``(B, S)``, mark."""
        count = (chosen * self.lengths).sum(axis=1)[:, None]
        subsets = np.zeros((len(chosen), len(self.sums)), np.int64)
        for at in range(chosen.shape[1]):
            subsets[:, at // 4] += chosen[:, at] << at % 4
        mean, spread = self._union(self.sums, subsets), self._union(self.squares, subsets)
        mean /= count
        spread /= count
        rounding = _ROUNDING * spread
        spread -= mean * mean
        still = spread <= rounding
        spread *= count / (count - 1)
        spread[still] = np.inf
        np.sqrt(spread, out=spread)
        mean += self.means
        mean /= spread
        return mean

    @staticmethod
    def _union(table: Floats, subsets: NDArray[np.int64]) -> Floats:
        total: Floats = table[0][subsets[:, 0]]
        for group in range(1, len(table)):
            total += table[group][subsets[:, group]]
        return total


def _logits(unseen: Floats, value: Floats) -> Floats:
    """Logits of the relative ranks of *value* ``(B,)`` among the rows of *unseen* ``(B, K)``."""
    below = np.count_nonzero(unseen < value[:, None], axis=1)
    equal = np.count_nonzero(unseen == value[:, None], axis=1)
    rank = below + (equal + 1) / 2
    relative = rank / (unseen.shape[1] + 1)
    logits: Floats = np.log(relative / (1 - relative))
    return logits


def _slope(x: Floats, y: Floats) -> float | None:
    away = x - x.mean()
    squares = float((away * away).sum())
    rounding = _ROUNDING * float(np.abs(x).max())
    if not squares > rounding * rounding * len(x):
        return None
    return float((away * (y - y.mean())).sum()) / squares


def ranks(values: Floats) -> Floats:
    """Ranks from 1 on, lowest first; equal values share the mean of theirs."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    mean: Floats = (last - (count - 1) / 2)[place]
    return mean


def rank_correlation(x: Floats, y: Floats) -> float | None:
    """Spearman's rank correlation [4], -1 to 1; None for fewer than 2 pairs or if either does not vary."""
    if len(x) != len(y):
        raise ValueError("a correlation is of pairs")
    if len(x) < 2:
        return None
    one, other = ranks(x), ranks(y)
    one -= one.mean()
    other -= other.mean()
    length = math.sqrt(float((one * one).sum()) * float((other * other).sum()))
    return min(max(float((one * other).sum()) / length, -1.0), 1.0) if length > 0 else None


@dataclass(frozen=True, kw_only=True)
class Decay:
    """How a metric fares out of sample.

    Attributes:
        pairs: (in, out of sample) pairs in which both are known.
        inside, outside: means of the metric; None without pairs.
        ratio: *outside* / *inside*: 1 is no decay, 0 is nothing left; None unless *inside* is positive.
        correlation: ``rank_correlation`` of the pairs.
    """

    pairs: int
    inside: float | None
    outside: float | None
    ratio: float | None
    correlation: float | None


def decay(inside: Floats, outside: Floats) -> Decay:
    """Decay of a metric from *inside* the sample to *outside*, one pair per fold or trial; NaN: not known."""
    if inside.shape != outside.shape:
        raise ValueError("every value in sample has one out of sample")
    known: NDArray[np.bool_] = np.isfinite(inside) & np.isfinite(outside)
    one, other = inside[known], outside[known]
    if not len(one):
        return Decay(pairs=0, inside=None, outside=None, ratio=None, correlation=None)
    mean, later = float(one.mean()), float(other.mean())
    return Decay(
        pairs=len(one),
        inside=mean,
        outside=later,
        ratio=later / mean if mean > 0 else None,
        correlation=rank_correlation(one, other),
    )

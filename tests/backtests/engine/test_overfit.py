"""Deflated Sharpe ratios and overfitting, against the papers' own examples and slow Python."""

from __future__ import annotations

import math
import statistics
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.backtests.engine.overfit import (
    Moments,
    decay,
    deflated_sharpe,
    effective_trials,
    expected_maximum_sharpe,
    overfitting,
    probabilistic_sharpe,
    rank_correlation,
    ranks,
)

# Bailey & Lopez de Prado 2014, numerical example: five years of 250 days, an annual Sharpe ratio of 2.5, and
# trials whose annual Sharpe ratios have the variance 1/2.
PAPER = Moments(count=1250, sharpe=2.5 / math.sqrt(250), skew=-3, kurtosis=10)
VARIANCE = 0.5 / 250


def test_the_example_of_the_paper_on_the_deflated_sharpe_ratio() -> None:
    assert expected_maximum_sharpe(100, VARIANCE) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(PAPER, trials=100, variance=VARIANCE) == pytest.approx(0.9004, abs=5e-5)
    assert deflated_sharpe(PAPER, trials=46, variance=VARIANCE) == pytest.approx(0.9505, abs=5e-5)
    normal = Moments(count=1250, sharpe=PAPER.sharpe, skew=0, kurtosis=3)
    assert deflated_sharpe(normal, trials=88, variance=VARIANCE) == pytest.approx(0.9505, abs=5e-5)


def test_one_trial_is_not_deflated() -> None:
    assert expected_maximum_sharpe(1, VARIANCE) == 0
    assert deflated_sharpe(PAPER, trials=1, variance=VARIANCE) == probabilistic_sharpe(PAPER)


def test_more_trials_and_more_varied_ones_deflate_more() -> None:
    trials = (1, 1.01, 1.5, 2, 3, 10, 1000, 10**9)
    values = [expected_maximum_sharpe(count, VARIANCE) for count in trials]
    assert values == sorted(values)
    assert values[-1] > 5 * math.sqrt(VARIANCE)
    assert expected_maximum_sharpe(10, 4 * VARIANCE) == pytest.approx(2 * values[5])
    assert expected_maximum_sharpe(10, 0.0) == 0


@pytest.mark.parametrize("trials", [10, 100, 1000])
def test_the_expected_maximum_is_that_of_normal_draws(trials: int) -> None:
    """The mean of the largest of N: the integral of x d(F(x) ** N), in small steps."""
    normal = statistics.NormalDist()
    grid = np.linspace(-8, 8, 20_001)
    power = np.array([normal.cdf(x) ** trials for x in grid])
    mean = float(np.sum((grid[1:] + grid[:-1]) / 2 * np.diff(power)))
    assert expected_maximum_sharpe(trials, 1.0) == pytest.approx(mean, rel=0.03)


@pytest.mark.parametrize(
    ("trials", "variance"), [(0, 1), (0.5, 1), (-1, 1), (2, -1), (math.nan, 1), (2, math.nan)]
)
def test_impossible_trials_are_refused(trials: float, variance: float) -> None:
    with pytest.raises(ValueError, match="at least one trial"):
        expected_maximum_sharpe(trials, variance)


def test_moments_need_returns_that_vary() -> None:
    for returns in ([], [0.1], [0.0] * 9, [0.1] * 9, [1e-300, math.inf]):
        assert Moments.of(np.array(returns)) is None
    moments = Moments.of(np.array([0.01, -0.01, 0.03]))
    assert moments is not None
    assert moments.sharpe == pytest.approx(statistics.mean([1, -1, 3]) / statistics.stdev([1, -1, 3]))
    huge = Moments.of(np.array([1e300, -1e300, 3e300]))
    assert huge is not None
    assert (huge.sharpe, huge.skew) == pytest.approx((moments.sharpe, moments.skew))


def test_a_sharpe_ratio_without_uncertainty_has_no_probability() -> None:
    certain = Moments(count=9, sharpe=1.0, skew=2.0, kurtosis=5.0)  # 1 - 2 + 1
    assert probabilistic_sharpe(certain) is None
    assert probabilistic_sharpe(Moments(count=9, sharpe=math.nan, skew=0, kurtosis=3)) is None


def test_correlated_trials_count_as_fewer() -> None:
    rng = np.random.default_rng(3)
    shared = rng.normal(size=(400, 1))
    returns = 0.8 * shared + rng.normal(size=(400, 300))
    correlations = np.corrcoef(returns.T)
    mean = (correlations.sum() - 300) / (300 * 299)
    assert effective_trials(returns) == pytest.approx(mean + (1 - mean) * 300)
    assert effective_trials(np.repeat(shared, 7, axis=1)) == pytest.approx(1)
    assert effective_trials(np.hstack([shared, -shared])) == 2
    assert effective_trials(rng.normal(size=(2, 5))) == 5
    assert effective_trials(shared) == 1
    assert effective_trials(np.zeros((9, 4))) == 4


def slow_overfitting(returns: np.ndarray, blocks: int) -> list[tuple[float, float, float]]:
    """(logit, in sample, out of sample) of each split, each half joined and measured anew."""
    count, strategies = returns.shape
    edges = [at * count // blocks for at in range(blocks + 1)]
    parts = [returns[a:b] for a, b in pairwise(edges)]

    def sharpes(chosen: set[int]) -> list[float]:
        joined = np.concatenate([part for at, part in enumerate(parts) if at in chosen])
        return [
            column.mean() / column.std(ddof=1) if np.ptp(column) > 0 else 0.0 for column in joined.T.copy()
        ]

    splits = []
    for chosen in map(set, combinations(range(blocks), blocks // 2)):
        seen, unseen = sharpes(chosen), sharpes(set(range(blocks)) - chosen)
        best = seen.index(max(seen))
        rank = pd.Series(unseen).rank().iloc[best] / (strategies + 1)
        splits.append((math.log(rank / (1 - rank)), seen[best], unseen[best]))
    return splits


@given(st.integers(0, 2**32), st.sampled_from([2, 4, 6]), st.integers(2, 9), st.integers(0, 30))
def test_overfitting_is_that_of_every_split_measured_anew(
    seed: int, blocks: int, strategies: int, more: int
) -> None:
    rng = np.random.default_rng(seed)
    returns = rng.normal(0.001, 0.01, (2 * blocks + more, strategies))
    returns[:, 0] = 0.0  # a strategy that does nothing
    returns[len(returns) // 2 :, -1] = seed % 3 * 0.1  # one that is still, or earns the same all the time
    expected = np.array(slow_overfitting(returns, blocks))
    for memory in (1, 2**20):
        found = overfitting(returns, blocks=blocks, memory=memory)
        ours = np.array([found.logits, found.best_inside, found.best_outside]).T
        assert ours == pytest.approx(expected, rel=1e-9, abs=1e-9)
        assert found.probability == np.mean(expected[:, 0] <= 0)
        assert found.loss == np.mean(expected[:, 2] < 0)
        if found.slope is not None and blocks > 2:
            assert found.slope == pytest.approx(np.polyfit(expected[:, 1], expected[:, 2], 1)[0], rel=1e-6)


def test_skill_is_not_overfitting_and_luck_is() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.01, (320, 40))
    skilled = noise.copy()
    skilled[:, 7] += 0.02
    found = overfitting(skilled)
    assert (found.probability, found.loss, len(found.logits)) == (0, 0, math.comb(16, 8))
    # Each strategy earns in one block what it loses in the others: the best in sample is worst after it.
    lucky = np.where(np.arange(320)[:, None] // 40 == np.arange(8), 0.07, -0.01) + noise[:, :8] / 1000
    assert overfitting(lucky, blocks=8).probability == 1


def test_strategies_alike_share_the_middle_rank() -> None:
    same = np.repeat(np.random.default_rng(2).normal(0, 0.01, (40, 1)), 5, axis=1)
    found = overfitting(same, blocks=4)
    assert found.logits == pytest.approx(np.zeros(6))
    assert found.probability == 1
    assert overfitting(np.zeros((40, 3)), blocks=4).slope is None


@pytest.mark.parametrize(
    ("shape", "blocks", "text"),
    [
        ((40,), 4, "shape"),
        ((40, 1), 4, "at least 2"),
        ((40, 2), 5, "even"),
        ((40, 2), 0, "even"),
        ((400, 2), 18, "from 2 to 16"),
        ((15, 2), 8, "16 periods, not 15"),
    ],
)
def test_matrices_that_cannot_be_split_are_refused(shape: tuple[int, ...], blocks: int, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        overfitting(np.ones(shape), blocks=blocks)


def test_returns_that_are_not_finite_are_refused() -> None:
    returns = np.ones((40, 3))
    returns[5, 1] = math.nan
    with pytest.raises(ValueError, match="finite"):
        overfitting(returns, blocks=4)


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), max_size=30))
def test_ranks_and_their_correlation_agree_with_pandas(pairs: list[tuple[int, int]]) -> None:
    x, y = np.array(pairs, float).reshape(-1, 2).T
    assert ranks(x).tolist() == pd.Series(x).rank().tolist()
    if len(set(x)) < 2 or len(set(y)) < 2:
        assert rank_correlation(x, y) is None
    else:
        assert rank_correlation(x, y) == pytest.approx(pd.Series(x).rank().corr(pd.Series(y).rank()))


def test_decay_compares_pairs_of_which_both_are_known() -> None:
    found = decay(np.array([2.0, 4.0, math.nan, 3.0, 1.0]), np.array([1.0, 2.0, 9.0, 0.0, math.nan]))
    assert (found.pairs, found.inside, found.outside) == (3, 3, 1)
    assert found.ratio == pytest.approx(1 / 3)
    assert found.correlation == pytest.approx(0.5)
    assert decay(np.array([-1.0, -2.0]), np.array([1.0, 2.0])).ratio is None
    empty = decay(np.array([math.nan]), np.array([1.0]))
    assert (empty.pairs, empty.inside, empty.ratio, empty.correlation) == (0, None, None, None)
    with pytest.raises(ValueError, match="one out of sample"):
        decay(np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match="pairs"):
        rank_correlation(np.ones(2), np.ones(3))

"""The one table of metrics: name, unit, definition, annualisation, source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Value = float | int | None


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: its key in a result; ends in ``_pct`` if, and only if, it is a percentage.
        unit: ``ms`` (a span), ``time`` (ms since 1970 UTC), ``%``, ``money``, ``count`` or ``ratio``.
        definition: its formula, and when it is undefined.
        source: where the definition is published; ``Bookkeeping`` for plain facts of the run.
        annualisation: how it is brought to a year; empty if it is not.
    """

    name: str
    unit: str
    definition: str
    source: str
    annualisation: str = ""


_BOOKS = "Bookkeeping"
_BACON = "C. R. Bacon, Practical Portfolio Performance Measurement and Attribution, 2008"
_GIPS = "CFA Institute, Global Investment Performance Standards, 2020"
_KAPLAN = "P. D. Kaplan, What's Wrong with Multiplying by the Square Root of Twelve, 2013"
_SHARPE = "W. F. Sharpe, The Sharpe Ratio, 1994"
_SORTINO = "F. A. Sortino, L. N. Price, Performance Measurement in a Downside Risk Framework, 1994"
_YOUNG = "T. W. Young, Calmar Ratio: A Smoother Tool, 1991"
_OMEGA = "C. Keating, W. F. Shadwick, A Universal Performance Measure, 2002"
_MOMENTS = "D. N. Joanes, C. A. Gill, Comparing Measures of Sample Skewness and Kurtosis, 1998"
_PROBABILISTIC = "D. H. Bailey, M. Lopez de Prado, The Sharpe Ratio Efficient Frontier, 2012"
_DEFLATED = "D. H. Bailey, M. Lopez de Prado, The Deflated Sharpe Ratio, 2014"
_JENSEN = "M. C. Jensen, The Performance of Mutual Funds in the Period 1945-1964, 1968"
_DRAWDOWN = "M. Magdon-Ismail, A. F. Atiya, Maximum Drawdown, 2004"
_MARTIN = "P. G. Martin, B. B. McCann, The Investor's Guide to Fidelity Funds, 1989"
_PARDO = "R. Pardo, The Evaluation and Optimization of Trading Strategies, 2008"
_THARP = "V. K. Tharp, Trade Your Way to Financial Freedom, 1998"
_SQN = "V. K. Tharp, Definitive Guide to Position Sizing, 2008"
_KELLY = "J. L. Kelly, A New Interpretation of Information Rate, 1956"

_TO_N = "To the power of N, the periods a year."
_ROOT_N = "Times sqrt(N), N the periods a year."

METRICS: tuple[Metric, ...] = (
    Metric("start", "time", "Open time of the first bar.", _BOOKS),
    Metric("end", "time", "Open time of the last bar.", _BOOKS),
    Metric("duration", "ms", "end - start.", _BOOKS),
    Metric(
        "exposure_pct",
        "%",
        "Share of bars with a position: those from a trade's entry bar to its exit bar.",
        _PARDO,
    ),
    Metric("final_equity", "money", "Worth of the account at the end, the last position closed.", _BOOKS),
    Metric("peak_equity", "money", "Highest worth at any bar's close.", _BOOKS),
    Metric("return_pct", "%", "final_equity / starting cash - 1.", _BACON),
    Metric(
        "buy_hold_return_pct",
        "%",
        "Last close / close of the first bar on which the strategy has all its indicators - 1; no costs. "
        "Of several instruments: the mean, equal money in each.",
        _BACON,
    ),
    Metric("alpha_pct", "%", "return - beta * buy_hold_return, risk-free rate 0.", _JENSEN),
    Metric(
        "beta",
        "ratio",
        "Covariance of the log returns of equity and of close from bar to bar, over the variance of the "
        "latter; of several instruments, of the worth of holding them. Undefined after a bankruptcy.",
        _JENSEN,
    ),
    Metric(
        "periods_per_year",
        "count",
        "N. Period returns are changes of the last equity of each UTC day with bars; for bars of a week or "
        "more (median distance from 7 days on), of each bar. N is 1 for bars of a year (from 360 days), 12 "
        "of a month (from 28 days), 52 of a week; else 252 when fewer than half of the Saturdays (UTC) in "
        "the range have bars, and 365 otherwise. Returns after a bankruptcy are 0.",
        _BACON,
    ),
    Metric(
        "return_ann_pct",
        "%",
        "(1 + g) ** N - 1, g the geometric mean of the period returns; from 1 return.",
        _BACON,
        _TO_N,
    ),
    Metric(
        "volatility_ann_pct",
        "%",
        "sqrt((v + (1 + g) ** 2) ** N - (1 + g) ** (2 N)), v the sample variance of the period "
        "returns; from 2 returns.",
        _KAPLAN,
        "Of compounded returns: the mean and the second moment to the power of N.",
    ),
    Metric(
        "cagr_pct",
        "%",
        "(last equity / first equity) ** (1 / years) - 1, by bars; a year has 365.25 days.",
        _GIPS,
        "To the power of 1 / years, years = duration in days / 365.25.",
    ),
    Metric(
        "sharpe", "ratio", "Geometric: return_ann / volatility_ann, risk-free rate 0.", _SHARPE, "In both."
    ),
    Metric(
        "sharpe_arithmetic",
        "ratio",
        "Mean over sample standard deviation of the period returns, times sqrt(N), risk-free rate 0.",
        _SHARPE,
        _ROOT_N,
    ),
    Metric(
        "sortino",
        "ratio",
        "return_ann / (sqrt(mean(min(r, 0) ** 2)) * sqrt(N)), r the period returns.",
        _SORTINO,
        "Above as return_ann, below times sqrt(N).",
    ),
    Metric("calmar", "ratio", "return_ann / |max_drawdown|.", _YOUNG, "Above, as return_ann."),
    Metric(
        "omega",
        "ratio",
        "Sum of the positive period returns over the sum of the negative ones (threshold 0).",
        _OMEGA,
    ),
    Metric(
        "skew",
        "ratio",
        "Third central moment of the period returns over the 3/2 power of the second; 0 if symmetric.",
        _MOMENTS,
    ),
    Metric(
        "kurtosis",
        "ratio",
        "Fourth central moment of the period returns over the square of the second; 3 if normal.",
        _MOMENTS,
    ),
    Metric(
        "probabilistic_sharpe",
        "ratio",
        "Probability that the true Sharpe ratio is above 0: F(s sqrt(T - 1) / sqrt(1 - skew s + "
        "(kurtosis - 1) / 4 s ** 2)), F the normal distribution, s the arithmetic Sharpe ratio per period, "
        "T the number of period returns.",
        _PROBABILISTIC,
    ),
    Metric(
        "deflated_sharpe",
        "ratio",
        "As probabilistic_sharpe with s - s0 for the first s, s0 the highest Sharpe ratio to expect of as "
        "many trials without skill: sqrt(V) ((1 - c) Q(1 - 1 / M) + c Q(1 - 1 / (M e))), M the trials, V "
        "the variance of their Sharpe ratios per period, Q the normal quantile, c = 0.5772...; 0 for M = 1. "
        "Of one run the number of trials is 1; a sweep reports it for its best, deflated by all it tried.",
        _DEFLATED,
    ),
    Metric(
        "max_drawdown_pct", "%", "Lowest of equity / its highest value so far - 1, over all bars.", _DRAWDOWN
    ),
    Metric(
        "avg_drawdown_pct",
        "%",
        "Mean depth of the drawdowns; one reaches from the bar of a high to the first bar that is as high "
        "again, or to the end.",
        _BACON,
    ),
    Metric("current_drawdown_pct", "%", "final_equity / peak_equity - 1.", _BACON),
    Metric(
        "ulcer_index_pct",
        "%",
        "Root of the mean, over all bars, of the squared fall of equity below its highest value so far.",
        _MARTIN,
    ),
    Metric("n_drawdowns", "count", "Drawdowns, one that has not ended included.", _BACON),
    Metric("max_drawdown_duration", "ms", "Longest drawdown; 0 if there is none.", _BACON),
    Metric("avg_drawdown_duration", "ms", "Mean duration of the drawdowns.", _BACON),
    Metric(
        "current_drawdown_duration",
        "ms",
        "Time from the high to the last bar of a drawdown that has not ended; 0 if there is none.",
        _BACON,
    ),
    Metric("n_trades", "count", "Closed trades; a position open at the end is closed there.", _BOOKS),
    Metric("n_long", "count", "Trades that bought first.", _BOOKS),
    Metric("n_short", "count", "Trades that sold first.", _BOOKS),
    Metric("win_rate_pct", "%", "Share of trades with a gain after commission and funding.", _PARDO),
    Metric("win_rate_long_pct", "%", "The same of long trades.", _PARDO),
    Metric("win_rate_short_pct", "%", "The same of short trades.", _PARDO),
    Metric(
        "best_trade_pct",
        "%",
        "Highest trade return. A trade's return is its gain after commission and funding over its value at "
        "entry.",
        _PARDO,
    ),
    Metric("worst_trade_pct", "%", "Lowest trade return.", _PARDO),
    Metric(
        "avg_trade_pct",
        "%",
        "Geometric mean of the trade returns; undefined if one lost all it stood for.",
        _PARDO,
    ),
    Metric("avg_win_pct", "%", "Mean return of the trades with a gain.", _PARDO),
    Metric("avg_loss_pct", "%", "Mean return of the trades with a loss, negative.", _PARDO),
    Metric("avg_win", "money", "Mean gain of the trades with a gain.", _PARDO),
    Metric("avg_loss", "money", "Mean gain of the trades with a loss, negative.", _PARDO),
    Metric("max_win_streak", "count", "Most trades with a gain in a row, in the order of exits.", _PARDO),
    Metric("max_loss_streak", "count", "Most trades with a loss in a row, in the order of exits.", _PARDO),
    Metric(
        "avg_trade_duration",
        "ms",
        "Mean time from the open of a trade's entry bar to that of its exit bar.",
        _PARDO,
    ),
    Metric("max_trade_duration", "ms", "Longest such time.", _PARDO),
    Metric("min_trade_duration", "ms", "Shortest such time; 0 within one bar.", _PARDO),
    Metric(
        "profit_factor",
        "ratio",
        "Sum of the positive trade returns over the sum of the negative ones.",
        _PARDO,
    ),
    Metric("profit_factor_money", "ratio", "The same of gains in money.", _PARDO),
    Metric("expectancy_pct", "%", "Arithmetic mean of the trade returns.", _THARP),
    Metric("expectancy", "money", "Arithmetic mean of the trades' gains.", _THARP),
    Metric(
        "sqn",
        "ratio",
        "System quality number: sqrt(n_trades) * mean / sample standard deviation of the gains in money.",
        _SQN,
    ),
    Metric(
        "kelly",
        "ratio",
        "w - (1 - w) / (mean gain of winners / mean loss of losers, in money), w the win rate; needs both.",
        _KELLY,
    ),
    Metric("commissions", "money", "Commission paid, entries and exits.", _BOOKS),
    Metric(
        "commissions_of_gain_pct",
        "%",
        "commissions over the sum of the gains before commission, after funding, of the trades that had one.",
        _PARDO,
    ),
    Metric("funding_paid", "money", "Funding paid less funding received.", _BOOKS),
    Metric(
        "entries_skipped",
        "count",
        "Entry orders dropped: the account could not pay for them or for one lot, as many positions were "
        "open as allowed, or sizing by risk had no stop to measure by.",
        _BOOKS,
    ),
    Metric(
        "written_off",
        "money",
        "Debt at a bankruptcy, which the account is not asked for: final_equity = cash + sum of the "
        "trades' gains + written_off.",
        _BOOKS,
    ),
)


def metrics_markdown(metrics: Sequence[Metric] = METRICS) -> str:
    """The table as Markdown, one metric a line: name, unit, definition with annualisation, source."""
    lines = ["| Metric | Unit | Definition | Source |", "|---|---|---|---|"]
    for metric in metrics:
        text = " ".join(filter(None, (metric.definition, metric.annualisation)))
        cells = (f"`{metric.name}`", metric.unit, text, metric.source)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"

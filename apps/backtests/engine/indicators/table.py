"""Every indicator of the strategy language, registered once: arguments, warm-up, cost and description.

``documentation()`` renders the table; the language, its limits and its error messages read it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from apps.backtests.engine.indicators import technical, windows
from apps.backtests.engine.indicators.averages import LONGEST_WINDOW
from apps.backtests.engine.indicators.technical import plain

# Functions that look at their whole window again on every bar.
LONGEST_SCAN = 500


@dataclass(frozen=True)
class Argument:
    """One argument: ``series`` (computed per bar), ``window`` (whole bars) or ``number`` (for all bars)."""

    name: str
    kind: str
    min: float = 1
    max: float = LONGEST_WINDOW


@dataclass(frozen=True, kw_only=True)
class Indicator:
    """One indicator.

    Attributes:
        arguments: as they are written.
        columns: columns of the bars that precede the arguments in the call of ``compute``.
        lookback: from the numbers among the arguments: bars before the first value.
        compute: from columns, series and numbers to one array, or a tuple of which ``output`` is taken;
            indicators of one ``family``, the name of its first, share the tuple. It gets finite
            series, and may get too few values.
        cost: from the numbers to passes over a column.
        windowed: its values depend on their window alone, which is one more than ``lookback``, up to
            rounding.
        scans: it looks at its whole window again on every bar, so that its values depend on the window and
            the window's place alone, bit for bit, and pieces of the bars can be computed one by one.
        looped: ``compute`` takes *check*, too, and calls it now and then where it is slow.
        outputs: arrays that ``compute`` returns.
        gaps: some of its values may be missing or infinite behind the warm-up, whatever it gets. Values of
            the others are at most 1e18 times what they get.
        definition: instead of ``compute``: the same in the language, with the arguments' names.
    """

    name: str
    doc: str
    arguments: tuple[Argument, ...]
    columns: tuple[str, ...] = ()
    lookback: Callable[..., int] = lambda *_: 0
    compute: Callable[..., Any] | None = None
    cost: Callable[..., float] = lambda *_: 3.0
    output: int | None = None
    family: str = ""
    windowed: bool = False
    scans: bool = False
    looped: bool = False
    outputs: int = 1
    gaps: bool = False
    definition: str = ""

    @property
    def signature(self) -> str:
        return f"{self.name}({', '.join(argument.name for argument in self.arguments)})"


X = Argument("x", "series")
N = Argument("n", "window")
HLC = ("high", "low", "close")


def window(name: str = "n", least: int = 1, most: int = LONGEST_WINDOW) -> Argument:
    return Argument(name, "window", least, most)


def number(name: str, least: float, most: float) -> Argument:
    return Argument(name, "number", least, most)


def one_less(n: int, *_: float) -> int:
    return n - 1


def as_many(n: int, *_: float) -> int:
    return n


def _library(
    name: str,
    function: str,
    doc: str,
    lookback: Callable[..., int],
    *,
    least: int = 2,
    most: int = LONGEST_WINDOW,
    columns: tuple[str, ...] = (),
    cost: Callable[..., float] = lambda *_: 3.0,
    windowed: bool = False,
    scans: bool = False,
) -> Indicator:
    """A function of TA-Lib with one window, of a series or of columns."""
    arguments = (window(least=least, most=most),) if columns else (X, window(least=least, most=most))
    return Indicator(
        name=name,
        doc=doc,
        arguments=arguments,
        columns=columns,
        lookback=lookback,
        compute=plain(function),
        cost=cost,
        windowed=windowed,
        scans=scans,
    )


def _defined(name: str, doc: str, definition: str, *arguments: Argument) -> Indicator:
    return Indicator(name=name, doc=doc, arguments=arguments, definition=definition)


_MACD = (X, window("fast", 2), window("slow", 2), window("signal"))
_WIDTH = number("width", 0, 100)
_AVERAGES = (
    Indicator(
        name="sma",
        doc="Simple moving average; of prices, the exact mean of the window.",
        arguments=(X, N),
        lookback=one_less,
        compute=windows.rolling_mean,
        windowed=True,
        cost=lambda *_: 5.0,
    ),
    Indicator(
        name="ema",
        doc="Exponential moving average with factor 2/(n+1), begun with the mean of n values.",
        arguments=(X, N),
        lookback=one_less,
        compute=technical.ema,
    ),
    Indicator(
        name="wma",
        doc="Moving average with weights 1 to n.",
        arguments=(X, N),
        lookback=one_less,
        compute=technical.wma,
    ),
    _library("dema", "DEMA", "Double exponential average.", lambda n: 2 * (n - 1), cost=lambda *_: 6.0),
    _library("tema", "TEMA", "Triple exponential average.", lambda n: 3 * (n - 1), cost=lambda *_: 9.0),
    _library("trima", "TRIMA", "Triangular average: the mean of means.", one_less),
    _library("kama", "KAMA", "Kaufman's adaptive average.", as_many, cost=lambda *_: 8.0),
    _library("linreg", "LINEARREG", "End of the least-squares line through the window.", one_less,
             cost=lambda *_: 6.0, windowed=True),
    _library("linreg_slope", "LINEARREG_SLOPE", "Slope of that line, price per bar.", one_less,
             cost=lambda *_: 6.0, windowed=True),
    Indicator(
        name="vwap",
        doc="Mean of hlc3 over n bars, weighted by volume.",
        arguments=(N,),
        columns=("hlc3", "volume"),
        lookback=one_less,
        compute=windows.volume_weighted,
        gaps=True,
        cost=lambda *_: 12.0,
    ),
)  # fmt: skip
_MOMENTUM = (
    _library("rsi", "RSI", "Wilder's relative strength index, 0 to 100.", as_many),
    _library("cmo", "CMO", "Chande's momentum oscillator, -100 to 100.", as_many),
    _defined("roc", "Change over n bars in percent.", "(x / x[n] - 1) * 100", X, N),
    _library("mom", "MOM", "Change over n bars.", as_many, least=1, windowed=True),
    Indicator(
        name="macd",
        doc="Fast less slow exponential average, known with its signal line.",
        arguments=_MACD,
        lookback=lambda fast, slow, signal: max(fast, slow) + signal - 2,
        compute=plain("MACD"),
        cost=lambda *_: 8.0,
        family="macd",
        outputs=3,
        output=0,
    ),
    Indicator(
        name="macd_signal",
        doc="Exponential average of macd.",
        arguments=_MACD,
        lookback=lambda fast, slow, signal: max(fast, slow) + signal - 2,
        compute=plain("MACD"),
        cost=lambda *_: 8.0,
        family="macd",
        outputs=3,
        output=1,
    ),
    Indicator(
        name="macd_hist",
        doc="macd less macd_signal.",
        arguments=_MACD,
        lookback=lambda fast, slow, signal: max(fast, slow) + signal - 2,
        compute=plain("MACD"),
        cost=lambda *_: 8.0,
        family="macd",
        outputs=3,
        output=2,
    ),
    _defined(
        "stoch_k",
        "Place of the close in the range of n bars, 0 to 100, averaged over smooth bars.",
        "sma(100 * (close - lowest(low, n)) / (highest(high, n) - lowest(low, n)), smooth)",
        N,
        window("smooth"),
    ),
    _defined(
        "stoch_d",
        "Average of stoch_k over signal bars.",
        "sma(stoch_k(n, smooth), signal)",
        N,
        window("smooth"),
        window("signal"),
    ),
    _defined(
        "willr",
        "Williams' %R: place of the close in the range of n bars, -100 to 0.",
        "-100 * (highest(high, n) - close) / (highest(high, n) - lowest(low, n))",
        N,
    ),
    _library("cci", "CCI", "Commodity channel index.", one_less, columns=HLC, most=LONGEST_SCAN,
             cost=lambda n: 3 + 2 * n, scans=True),
    _library("mfi", "MFI", "Money flow index, 0 to 100.", as_many, columns=(*HLC, "volume"),
             cost=lambda *_: 5.0),
)  # fmt: skip
_TREND = (
    Indicator(
        name="adx",
        doc="Strength of trend, 0 to 100.",
        arguments=(window(least=2),),
        columns=("high", "low"),
        lookback=lambda n: 2 * n - 1,
        compute=technical.adx,
        looped=True,
        cost=lambda *_: 8.0,
    ),
    _library("plus_di", "PLUS_DI", "Upward movement, 0 to 100.", as_many, columns=HLC, cost=lambda *_: 8.0),
    _library("minus_di", "MINUS_DI", "Downward movement, 0 to 100.", as_many, columns=HLC,
             cost=lambda *_: 8.0),
    Indicator(
        name="aroon_up",
        doc="Bars since the highest high of n bars, 100 for none and 0 for n.",
        arguments=(window(least=2, most=LONGEST_SCAN),),
        columns=("high", "low"),
        lookback=as_many,
        compute=technical.aroon,
        scans=True,
        cost=lambda n: 5 + 0.5 * n,
        family="aroon_up",
        outputs=2,
        output=0,
    ),
    Indicator(
        name="aroon_down",
        doc="The same for the lowest low.",
        arguments=(window(least=2, most=LONGEST_SCAN),),
        columns=("high", "low"),
        lookback=as_many,
        compute=technical.aroon,
        scans=True,
        cost=lambda n: 5 + 0.5 * n,
        family="aroon_up",
        outputs=2,
        output=1,
    ),
    Indicator(
        name="sar",
        doc="Parabolic stop and reverse.",
        arguments=(number("step", 0, 1), number("most", 0, 1)),
        columns=("high", "low"),
        lookback=lambda *_: 1,
        compute=plain("SAR"),
        cost=lambda *_: 6.0,
    ),
    Indicator(
        name="supertrend",
        doc="Trailing band of width average true ranges: below the close in a rise, above it in a fall.",
        arguments=(N, _WIDTH),
        columns=HLC,
        lookback=as_many,
        compute=technical.supertrend,
        looped=True,
        cost=lambda *_: 8.0,
    ),
)  # fmt: skip
_VOLATILITY = (
    _library("atr", "ATR", "Wilder's average true range, in price.", as_many, columns=HLC),
    _library("natr", "NATR", "The same in percent of the close.", as_many, columns=HLC),
    Indicator(
        name="true_range",
        doc="Range of the bar and the gap to the close before.",
        arguments=(),
        columns=HLC,
        lookback=lambda *_: 1,
        compute=plain("TRANGE"),
    ),
    Indicator(
        name="stdev",
        doc="Standard deviation of n bars (divisor n, not n - 1).",
        arguments=(X, N),
        lookback=one_less,
        compute=windows.rolling_deviation,
        windowed=True,
        cost=lambda *_: 12.0,
    ),
    _defined("zscore", "Deviations from the mean.", "(x - sma(x, n)) / stdev(x, n)", X, N),
    _defined("bb_middle", "Middle Bollinger band.", "sma(x, n)", X, N),
    _defined(
        "bb_upper", "Bollinger band above the average.", "sma(x, n) + width * stdev(x, n)", X, N, _WIDTH
    ),
    _defined(
        "bb_lower", "Bollinger band below the average.", "sma(x, n) - width * stdev(x, n)", X, N, _WIDTH
    ),
    _defined("keltner_upper", "Keltner channel above.", "ema(close, n) + width * atr(n)",
             window(least=2), _WIDTH),
    _defined("keltner_lower", "Keltner channel below.", "ema(close, n) - width * atr(n)",
             window(least=2), _WIDTH),
    _defined("donchian_upper", "Highest high of n bars, this one included.", "highest(high, n)", N),
    _defined("donchian_lower", "Lowest low of n bars, this one included.", "lowest(low, n)", N),
    _defined("donchian_middle", "Middle of both.", "(highest(high, n) + lowest(low, n)) / 2", N),
)  # fmt: skip
_OTHERS = (
    Indicator(
        name="highest",
        doc="Highest value of n bars.",
        arguments=(X, N),
        lookback=one_less,
        compute=lambda x, n: windows.rolling_extreme(x, n, highest=True),
        windowed=True,
        cost=lambda *_: 8.0,
    ),
    Indicator(
        name="lowest",
        doc="Lowest value of n bars.",
        arguments=(X, N),
        lookback=one_less,
        compute=lambda x, n: windows.rolling_extreme(x, n, highest=False),
        windowed=True,
        cost=lambda *_: 8.0,
    ),
    Indicator(
        name="sum",
        doc="Sum of n bars.",
        arguments=(X, N),
        lookback=one_less,
        compute=windows.rolling_sum,
        windowed=True,
        cost=lambda *_: 5.0,
    ),
    _defined("change", "Difference to n bars before.", "x - x[n]", X, N),
    Indicator(
        name="obv",
        doc="On-balance volume since the first bar.",
        arguments=(),
        columns=("close", "volume"),
        compute=plain("OBV"),
    ),
)

INDICATORS: dict[str, Indicator] = {
    indicator.name: indicator for indicator in (*_AVERAGES, *_MOMENTUM, *_TREND, *_VOLATILITY, *_OTHERS)
}


def documentation() -> str:
    """The table in Markdown, one line per indicator; arguments are windows where no range is said."""
    lines = ["| indicator | meaning |", "|---|---|"]
    for indicator in INDICATORS.values():
        limits = ", ".join(
            f"{argument.name} {argument.min:g} to {argument.max:g}"
            for argument in indicator.arguments
            if argument.kind != "series" and argument.max != LONGEST_WINDOW
        )
        meaning = f"{indicator.doc}{f' ({limits})' if limits else ''}"
        if indicator.definition:
            meaning += f" `{indicator.definition}`"
        lines.append(f"| `{indicator.signature}` | {meaning} |")
    return "\n".join(lines)

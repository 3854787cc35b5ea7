"""The reference of the language in Markdown, made from the tables that it is checked by."""

from __future__ import annotations

import textwrap

from apps.backtests.engine import indicators
from apps.backtests.engine.language import functions, limits, text


def reference() -> str:
    """Statements, names, functions, indicators and limits."""
    example, _, explained = textwrap.dedent((text.__doc__ or "").partition("\n\n")[2]).partition("\n\n")
    return "\n\n".join(
        [
            f"```\n{textwrap.dedent(example)}\n```",
            explained.replace("``", "`").rstrip(),
            "**Expressions** have numbers, names, `+ - * /`, comparisons (also `a < b < c`), `and`, `or`, "
            "`not` and brackets. What cannot be known yet (before the warm-up, after a division by zero) is "
            "neither true nor false, and nothing is decided by it. In the object form an expression may "
            "also be a tree.",
            functions.documentation(),
            indicators.documentation(),
            f"**Limits**: {limits.LONGEST_TEXT:,} characters, {limits.MOST_NODES} parts, {limits.DEEPEST} "
            f"levels and {limits.MOST_BRACKETS} brackets in an expression; {limits.MOST_PARAMS} parameters "
            f"and {limits.MOST_LETS} lets; windows of {indicators.LONGEST_WINDOW:,} bars, and "
            f"{limits.LONGEST_LOOKBACK:,} bars before the first value; work per bar of "
            f"{limits.HIGHEST_COST:,.0f} passes over a column, and {limits.WIDEST:.0f} columns of results "
            "held at once.\n",
        ]
    )

"""How large a strategy may be. What is larger is refused before any work is done on it."""

from __future__ import annotations

from apps.backtests.engine.language.nodes import Node, Refused, children

LONGEST_TEXT = 2_000  # characters of one expression
LONGEST_DOCUMENT = 32_000  # characters of a whole document in its text form
MOST_NODES = 200  # of one expression
DEEPEST = 16
MOST_BRACKETS = 64
MOST_OPERATORS = 200  # signs that nest without brackets, as in "not not not x" or "- - - x"
MOST_PARAMS = 30
MOST_LETS = 30
MOST_CHOICES = 20
HIGHEST_NUMBER = 1e15
MOST_DIGITS = 30  # of one number in the text
LONGEST_LOOKBACK = 20_000  # bars of one timeframe that a value may depend on before it exists
HIGHEST_COST = 1_500.0  # passes over a column
WIDEST = 64.0  # columns of 8 bytes that are held at once


def measured(root: Node) -> Node:
    """*root*, or Refused when it has too many nodes or levels."""
    count, level, row = 0, 0, [root]
    while row:
        level += 1
        count += len(row)
        if level > DEEPEST:
            raise Refused(f"is nested more than {DEEPEST} levels deep", row[0].at)
        if count > MOST_NODES:
            raise Refused(f"has more than {MOST_NODES} parts")
        row = [child for node in row for child in children(node)]
    return root

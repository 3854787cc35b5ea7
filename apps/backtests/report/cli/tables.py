"""What a run came to, as tables for a terminal."""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from apps.backtests.report.document import trade_columns
from apps.backtests.report.outcome import TradeTable
from apps.backtests.report.wording import label, written
from apps.candles.cli.output import Output

#: Trades that are shown of each end of the list.
_ENDS = 5
_WIDEST = 110


def show(document: Mapping[str, Any], trades: TradeTable, times: Mapping[str, float], output: Output) -> None:
    """Metrics, trades, what ambiguous bars can make of it, certificate, identity, and where the time went.

    *trades* are all of them, of which the document may hold fewer.
    """
    parts = [
        _metrics(document),
        _exits(document),
        _trades(trades),
        _band(document),
        _certificate(document),
        _pairs("Identity", [(name.replace("_", " "), value) for name, value in document["identity"].items()]),
        _pairs("Time", [(name, f"{1000 * seconds:,.0f} ms") for name, seconds in times.items()]),
    ]
    file = io.StringIO()
    terminal = output.stdout.isatty()
    width = min(_WIDEST, shutil.get_terminal_size((_WIDEST, 24)).columns) if terminal else _WIDEST
    console = Console(file=file, width=width, force_terminal=terminal, highlight=False)
    where = f"{', '.join(document['instruments'])} {document['timeframe']}"
    console.print(Text(f"{document['title']} on {where}, {document['bars']:,} bars"), soft_wrap=True)
    for part in parts:
        if part is not None:
            console.print()
            console.print(part)
    for line in file.getvalue().splitlines():
        output.line(line.rstrip())


def _table(title: str, *columns: str) -> Table:
    table = Table(title=Text(title), title_justify="left", title_style="bold", box=None, pad_edge=False)
    for place, name in enumerate(columns):
        table.add_column(Text(name), justify="right" if place and name else "left", header_style="dim")
    return table


def _metrics(document: Mapping[str, Any]) -> RenderableType:
    table = _table("Metrics", "metric", "value")
    for section in document["metrics"]:
        for item in section["items"]:
            table.add_row(Text(item["label"]), Text(written(item["value"], item["unit"]), style=_style(item)))
    return table


def _style(item: Mapping[str, Any]) -> str:
    value = item["value"]
    if "return" not in item["name"] or not isinstance(value, int | float) or not value:
        return ""
    return "green" if value > 0 else "red"


def _exits(document: Mapping[str, Any]) -> RenderableType | None:
    if not document["exits"]:
        return None
    table = _table("Trades by how they ended", "left by", "trades", "won", "gain")
    for row in document["exits"]:
        reason = Text(row["reason"].replace("_", " "))
        table.add_row(reason, f"{row['count']:,}", f"{row['win_rate_pct']:.1f} %", f"{row['pnl']:,.2f}")
    return table


def _trades(trades: TradeTable) -> RenderableType | None:
    total = len(trades)
    if not total:
        return None
    table = _table("Trades", "#", "side", "entered", "left", "size", "entry", "exit", "return", "left by")
    if total <= 2 * _ENDS:
        _add(table, trade_columns(trades, 0, total))
        return table
    _add(table, trade_columns(trades, 0, _ENDS))
    table.add_row("…")
    _add(table, trade_columns(trades, total - _ENDS, _ENDS))
    return table


def _add(table: Table, trades: Mapping[str, Any]) -> None:
    """Add a row of each of these trades, columns as in the document."""
    for row, sign in enumerate(trades["side"]):
        times = (written(trades[name][row], "time") for name in ("entry_time", "exit_time"))
        numbers = (f"{trades[name][row]:,.7g}" for name in ("size", "entry_price", "exit_price"))
        reason = trades["reasons"][trades["reason"][row]].replace("_", " ")
        table.add_row(
            f"{trades['offset'] + row + 1:,}", "long" if sign > 0 else "short", *times, *numbers,
            f"{trades['return_pct'][row]:.2f} %", reason,
        )  # fmt: skip


def _band(document: Mapping[str, Any]) -> RenderableType | None:
    band = document["band"]
    if band is None:
        return None
    units = {item["name"]: item["unit"] for part in document["metrics"] for item in part["items"]}
    table = _table(f"Ambiguous bars: {band['ambiguous']:,}", "", "pessimistic", "optimistic")
    for name, value in band["pessimistic"]["metrics"].items():
        values = (value, band["optimistic"]["metrics"].get(name))
        table.add_row(Text(label(name)), *(written(one, units.get(name, "ratio")) for one in values))
    return table


def _certificate(document: Mapping[str, Any]) -> RenderableType | None:
    found = document["certificate"]
    if found is None:
        return None
    every = {"": found} if "holds" in found else found
    rows = []
    for name, one in every.items():
        cuts = ", ".join(f"{cut:,}" for cut in one["cuts"])
        said = f"no signal looks ahead: the first {cuts} bars decide the same" if cuts else "too few bars"
        if not one["holds"]:
            first = one["differs"]
            said = (
                f"LOOKS AHEAD: {first['array']} of bar {first['bar']:,} without what follows {first['cut']:,}"
            )
        rows.append((name, said))
    return _pairs("Certificate", rows)


def _pairs(title: str, pairs: Sequence[tuple[str, str]]) -> RenderableType:
    table = _table(title, "", "")
    table.show_header = False
    for name, value in pairs:
        table.add_row(Text(name), Text(value, overflow="fold"))
    return table

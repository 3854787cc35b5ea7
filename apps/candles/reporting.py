"""The store in words: what the command and the page of the admin share."""

from __future__ import annotations

from datetime import datetime

from apps.candles.storage.status import StoreStatus


def headlines(found: StoreStatus) -> list[str]:
    """What is in force, why, and what would be had otherwise."""
    able = found.capabilities
    timescaledb = f"TimescaleDB {able.timescaledb}" if able.usable else f"no TimescaleDB: {able.obstacle}"
    lines = [f"PostgreSQL {able.postgres}, {timescaledb}", f"in force: {found.in_force.name}"]
    if found.wanted != found.in_force:
        lines.append(f"possible: {found.wanted.name}, by manage.py candles_upgrade")
    if found.moving_to is not None:
        lines.append(f"a move to {found.moving_to.name} was begun: candles_upgrade goes on with it")
    if found.pending:
        lines.append(
            f"{found.pending} changes wait for a refresh, since {found.pending_since:%Y-%m-%d %H:%M:%S} UTC"
        )
    else:
        lines.append("all roll-ups are refreshed")
    return lines


def size(count: int | None) -> str:
    """Bytes for people."""
    if count is None:
        return ""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:,.3g} TB"


def moment(at: datetime | None) -> str:
    """A moment to the minute; nothing for none."""
    return f"{at:%Y-%m-%d %H:%M}" if at else ""

"""What the demo tells its tour about the running product."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from apps.stack.simulated import Account


class TourFailed(Exception):
    """The product did not do what the tour asked of it."""


@dataclass(frozen=True, kw_only=True)
class TourSettings:
    """Where everything is; `say` prints a progress line with the time and may be called from any thread.

    *mail_folder* is None when a real SMTP server is used; *candles_file* is the file that the simulated
    exchange replays, if any; *exchange_url* is what the product uses, simulated or not; *days* is how many
    days of candles to ingest; *exchange_account* is None where the exchange is not the simulated one.
    """

    base_url: str
    admin_username: str
    admin_password: str
    exchange_url: str
    mail_folder: Path | None
    candles_file: Path | None
    days: int
    exchange_account: Account | None
    say: Callable[[str], None]

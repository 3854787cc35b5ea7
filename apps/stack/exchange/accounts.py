"""Opening accounts, by order of the operator."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.stack.exchange.amounts import UNIT, parsed
from apps.stack.exchange.books import Books
from apps.stack.exchange.signing import KEY

_FIELDS = {"key", "secret", "balances"}
_ASSET = re.compile(r"[A-Z0-9]{1,20}")
_LARGEST = 10**12 * UNIT


class BadAccount(ValueError):
    """An account that cannot be opened; the text names the field."""


@dataclass(frozen=True, kw_only=True)
class Opening:
    """An account to be opened with *balances* (in units of 10**-8)."""

    key: str
    secret: str
    balances: Mapping[str, int]


def parse_accounts(body: bytes | str) -> list[Opening]:
    """The accounts in a JSON list. Raises `BadAccount`."""
    try:
        listed = json.loads(body)
    except ValueError as error:
        raise BadAccount(f"not JSON: {error}") from None
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise BadAccount("not a list of accounts")
    return [_parse(entry) for entry in listed]


def _parse(entry: Mapping[str, Any]) -> Opening:
    if unknown := set(entry) - _FIELDS:
        raise BadAccount(f"unknown fields: {', '.join(sorted(unknown))}")
    key, secret, balances = entry.get("key"), entry.get("secret"), entry.get("balances", {})
    if not isinstance(key, str) or not KEY.fullmatch(key):
        raise BadAccount(f"key must be 8 to 128 letters, digits, - and _, not {key!r}")
    if not isinstance(secret, str) or not secret:
        raise BadAccount("secret must be a text")
    if not isinstance(balances, dict):
        raise BadAccount("balances must be an object of assets and amounts")
    return Opening(
        key=key, secret=secret, balances={asset: _amount(asset, text) for asset, text in balances.items()}
    )


def _amount(asset: str, text: object) -> int:
    if not _ASSET.fullmatch(asset):
        raise BadAccount(f"balances must name assets such as USDT, not {asset!r}")
    try:
        amount = parsed(text) if isinstance(text, str) else -1
    except ValueError:
        amount = -1
    if not 0 <= amount <= _LARGEST:
        raise BadAccount(
            f"balances must be texts of up to 8 decimals, at most {_LARGEST // UNIT}, not {text!r}"
        )
    return amount


def open_accounts(books: Books, openings: Sequence[Opening]) -> None:
    """Open those accounts that do not exist, all or none; the others stay as they are.

    Raises `BadAccount` for a key that exists with another secret.
    """
    with books.transaction():
        for opening in openings:
            known = books.account(opening.key)
            if known is not None and known.secret != opening.secret:
                raise BadAccount(f"key {opening.key!r} exists with another secret")
            books.open_account(opening.key, opening.secret, opening.balances)

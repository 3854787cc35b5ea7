"""Wrong passwords, counted by account: a guess is charged before it is looked at, and refunded if right.

There are two limits, each a group of ``RATELIMITS_GROUPS`` without endpoints:

- ``login-failures``: of one account from one address (IPv6: its network). Whoever is above it gets no further
  guess from there, and is the only one who does not.
- ``login-failures-account``: of one account from everywhere, for those who guess from many addresses.
  Somebody could lock a user out by it, so it does not hold for addresses that the user signed in from lately.

A name that is nobody's is counted like any other. Nothing is counted while ``RATELIMITS_ENABLED`` is off, of
networks that limits let through, and where no request is answered.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.core.exceptions import ValidationError

from apps.core.addresses import bucket_of
from apps.identity import places
from apps.ratelimits import conf
from apps.ratelimits.engine import engine
from apps.ratelimits.scopes import Verdict, scope

FROM_ADDRESS, OF_ACCOUNT = "login-failures", "login-failures-account"
GROUPS = (FROM_ADDRESS, OF_ACCOUNT)
_KIND = "login"
#: What stands for the address of a connection that has none, and for a name that is empty.
_NONE = "-"
_ALLOWED = Verdict(allowed=True)


class TooManyGuesses(ValidationError):
    """Nobody looks at this password now. Forms show it; see `answered` for the API."""

    def __init__(self, retry_after: int | None) -> None:
        when = "later" if retry_after is None else f"in {_spoken(retry_after)}"
        super().__init__(f"Too many wrong passwords. Try again {when}.", code="too_many_guesses")
        self.retry_after = retry_after


@dataclass(frozen=True, kw_only=True)
class Guess:
    """What was charged for one password."""

    from_address: Verdict = _ALLOWED
    of_account: Verdict = _ALLOWED


def charge(*, username: str, address: str) -> Guess:
    """Charge a guess at the password of *username*, before it is looked at. Raises `TooManyGuesses`."""
    if not conf.enabled() or address in engine().rules().allowed:
        return Guess()
    place = place_of(address)
    from_address = _hit(FROM_ADDRESS, f"{place}/{username}")
    if not from_address:
        raise TooManyGuesses(from_address.retry_after)
    of_account = _hit(OF_ACCOUNT, username or _NONE)
    if not of_account and not places.is_known(username=username, network=place):
        scope(FROM_ADDRESS).refund(from_address)
        raise TooManyGuesses(of_account.retry_after)
    return Guess(from_address=from_address, of_account=of_account)


def give_back(guess: Guess) -> None:
    """The password was right: nothing was a guess."""
    scope(FROM_ADDRESS).refund(guess.from_address)
    scope(OF_ACCOUNT).refund(guess.of_account)


def place_of(address: str) -> str:
    """What an address is counted as."""
    return bucket_of(address, conf.config().ipv6_prefix) or _NONE


@contextmanager
def answered() -> Iterator[None]:
    """Have `TooManyGuesses` answered by 429 with ``Retry-After`` in views of the API."""
    from apps.ratelimits.throttles import TooManyRequests

    try:
        yield
    except TooManyGuesses as exc:
        refusal = TooManyRequests(exc.retry_after, [])
        refusal.detail = str(exc.message)  # type: ignore[assignment]
        raise refusal from None


def _hit(group: str, name: str) -> Verdict:
    try:
        return scope(group).hit(_KIND, name)
    except LookupError:
        # The settings have no such group, which checks tell of.
        return _ALLOWED


def _spoken(seconds: int) -> str:
    minutes = -(-seconds // 60)
    return "a minute" if minutes <= 1 else f"{minutes} minutes"

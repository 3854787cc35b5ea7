"""The exchanges' own error codes: which trouble passes and which answer is final.

ccxt knows what many of them mean, but makes others plain errors, and Binance's only while the client has
the exchange's own address: so the code itself decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Codes:
    """How an exchange words its errors. *code* finds the code in ccxt's message, which holds the body.

    A code among *passing*, or of one of *families*, is trouble that passes; every other one is final.
    *header* names the moment (ms) at which a limit is lifted; *bans* are the statuses that tell of a ban,
    each with its length in seconds.
    """

    code: re.Pattern[str]
    passing: frozenset[str]
    families: tuple[str, ...] = ()
    header: str | None = None
    bans: Mapping[int, float] | None = None

    def found(self, message: str) -> str | None:
        """The code in a message, None when there is none."""
        match = self.code.search(message)
        return match.group(1) if match else None

    def passes(self, code: str) -> bool:
        """Whether trying again may help."""
        return code in self.passing or code.startswith(self.families)


_BINANCE = Codes(
    code=re.compile(r'"code"\s*:\s*"?(-?\d+)'),
    passing=frozenset(
        {
            "-1000",  # unknown error
            "-1001",  # internal error, disconnected
            "-1003",  # too many requests
            "-1004",  # server busy
            "-1006",  # unexpected response
            "-1007",  # timeout behind the gateway
            "-1008",  # overloaded
            "-1015",  # too many orders
            "-1021",  # timestamp outside of the window
            "-1034",  # too many connections
            "-3000",  # internal server error
            "-3044",  # system busy
        }
    ),
)

_BYBIT = Codes(
    code=re.compile(r'"ret_?[cC]ode"\s*:\s*"?(-?[1-9]\d*)'),
    passing=frozenset(
        {
            "10000",  # server timeout
            "10002",  # timestamp outside of the window
            "10006",  # too many visits
            "10016",  # internal server error
            "10018",  # over the limit of the address
            "10019",  # the service is restarting
            "10429",  # over a limit of the whole system
        }
    ),
    header="X-Bapi-Limit-Reset-Timestamp",
    # "Wait for at least 10 minutes."
    bans={403: 600.0},
)

# A list of texts such as "EQuery:Unknown asset pair", with a success's status.
_KRAKEN = Codes(
    code=re.compile(r'"error"\s*:\s*\[\s*"([^"]+)"'),
    passing=frozenset(
        {
            "EAPI:Rate limit exceeded",
            "EGeneral:Internal error",
            "EGeneral:Temporary lockout",
            "EGeneral:Too many requests",
            "EGeneral:Unknown error",
        }
    ),
    families=("EService:", "EDatabase:"),
)

CODES: Mapping[str, Codes] = {"binance": _BINANCE, "bybit": _BYBIT, "kraken": _KRAKEN}

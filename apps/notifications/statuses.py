"""What mail servers mean by their codes: of the address, of the mail, or of somebody else's affairs.

Enhanced status codes (RFC 3463) say it; where a server gives none, its reply code (RFC 5321) has to do.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping


class Meaning(enum.Enum):
    """Whom a refusal is about."""

    #: No mail reaches the address.
    ADDRESS = "address"
    #: Nobody takes this mail; others may reach the address.
    MAIL = "mail"
    #: Neither: our sender or network, the server's state or policies, a mailbox that is full. It may pass.
    PASSING = "passing"


#: Enhanced status codes without their class, by their beginnings: the longest that fits counts.
_BY_STATUS: Mapping[str, Meaning] = {
    "0": Meaning.ADDRESS,
    "1": Meaning.ADDRESS,
    # The sender's address.
    "1.7": Meaning.PASSING,
    "1.8": Meaning.PASSING,
    "2": Meaning.ADDRESS,
    # A full mailbox, and a mail that is too long for it.
    "2.2": Meaning.PASSING,
    "2.3": Meaning.MAIL,
    "3": Meaning.PASSING,
    # A mail that is too long for the system.
    "3.4": Meaning.MAIL,
    "4": Meaning.PASSING,
    # No route: what is said of domains that do not exist.
    "4.4": Meaning.ADDRESS,
    "5": Meaning.PASSING,
    "6": Meaning.MAIL,
    "7": Meaning.PASSING,
}
#: Reply codes that are about an address, where no status says what they are about. Others are about the
#: session, credentials, storage, or anything.
_BY_CODE: Mapping[int, Meaning] = {
    550: Meaning.ADDRESS,
    551: Meaning.ADDRESS,
    553: Meaning.ADDRESS,
    556: Meaning.ADDRESS,
}
_STATUS = re.compile(r"\s*([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")


def status_of(text: str) -> str:
    """The enhanced status code with which *text* begins; empty where it has none."""
    found = _STATUS.match(text)
    return "" if found is None else ".".join(found.groups())


def of_status(status: str) -> Meaning:
    """What an enhanced status code means; a class other than 5 is for now only."""
    kind, subject, detail = status.split(".")
    if kind != "5":
        return Meaning.PASSING
    return _BY_STATUS.get(f"{subject}.{detail}") or _BY_STATUS.get(subject, Meaning.PASSING)


def of_reply(code: int, text: str) -> Meaning:
    """What a server's reply means: its code, and the text in which a status may stand first."""
    if not 500 <= code < 600:
        return Meaning.PASSING
    status = status_of(text)
    return of_status(status) if status else _BY_CODE.get(code, Meaning.PASSING)

"""The states of an e-mail, and which moves exist."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import models


class EmailState(models.TextChoices):
    """Where an e-mail stands, beyond the run that sends it."""

    REQUESTED = "requested", "Requested: to be sent, or to be tried again"
    SENT = "sent", "Sent: the mail server has taken it"
    REFUSED = "refused", "Refused: for good, by the mail server or because it cannot be written"
    BOUNCED = "bounced", "Bounced: taken, and reported as undeliverable afterwards"
    SUPPRESSED = "suppressed", "Suppressed: not sent, because it was turned off or its address bounces"
    FAILED = "failed", "Failed: given up, since no attempt has succeeded or its run was cancelled"


#: What was given up is on its way again first, when its run is redriven. A bounce may be reported of whatever
#: was handed over once, also before there is a record of that.
_GIVEN_UP = frozenset({EmailState.REQUESTED, EmailState.BOUNCED})

#: State -> the states that may follow it.
TRANSITIONS: Mapping[EmailState, frozenset[EmailState]] = {
    EmailState.REQUESTED: frozenset(set(EmailState) - {EmailState.REQUESTED}),
    EmailState.SENT: frozenset({EmailState.BOUNCED}),
    EmailState.REFUSED: _GIVEN_UP,
    EmailState.SUPPRESSED: _GIVEN_UP,
    EmailState.FAILED: _GIVEN_UP,
    EmailState.BOUNCED: frozenset(),
}

#: Nothing is sent any more from these.
OVER = frozenset({EmailState.SENT, EmailState.BOUNCED})


def leading_to(state: EmailState) -> list[EmailState]:
    """The states from which *state* may be entered."""
    return [before for before, after in TRANSITIONS.items() if state in after]

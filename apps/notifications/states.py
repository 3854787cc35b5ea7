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


#: State -> the states that may follow it. What was given up is sent again when its run is redriven.
TRANSITIONS: Mapping[EmailState, frozenset[EmailState]] = {
    # Bounced at once: the report may overtake the record that the mail was taken.
    EmailState.REQUESTED: frozenset(set(EmailState) - {EmailState.REQUESTED}),
    EmailState.SENT: frozenset({EmailState.BOUNCED}),
    EmailState.REFUSED: frozenset(
        {EmailState.REQUESTED, EmailState.SENT, EmailState.SUPPRESSED, EmailState.FAILED, EmailState.BOUNCED}
    ),
    EmailState.SUPPRESSED: frozenset(
        {EmailState.REQUESTED, EmailState.SENT, EmailState.REFUSED, EmailState.FAILED}
    ),
    EmailState.FAILED: frozenset(
        {EmailState.REQUESTED, EmailState.SENT, EmailState.REFUSED, EmailState.SUPPRESSED, EmailState.BOUNCED}
    ),
    EmailState.BOUNCED: frozenset(),
}

#: Nothing is sent any more from these.
OVER = frozenset({EmailState.SENT, EmailState.BOUNCED})


def leading_to(state: EmailState) -> list[EmailState]:
    """The states from which *state* may be entered."""
    return [before for before, after in TRANSITIONS.items() if state in after]

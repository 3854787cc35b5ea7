"""Verifying the chain, and remembering what came of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from apps.audit import audit_actions
from apps.audit.chain import Head, HeadMissing
from apps.audit.integrity import Examination
from apps.audit.models import Verification
from apps.audit.recording import record
from apps.audit.walking import Anchor, Finding
from apps.events.progress import SILENT, Progress

logger = logging.getLogger(__name__)

#: Findings that are told one by one.
SHOWN = 20
#: Earlier verifications that later ones are compared with.
_ANCHORS = 1000


@dataclass(kw_only=True)
class Verified:
    """What a look at the chain came to."""

    first: int
    rows: int = 0
    findings: int = 0
    #: The first of them.
    shown: list[str] = field(default_factory=list)
    #: None where it is missing.
    head: Head | None = None

    @property
    def through(self) -> int:
        """The sequence of the last row that the head vouches for."""
        return self.head.sequence if self.head else 0


def verify(
    *,
    first: int = 1,
    expect: Mapping[int, Anchor] | None = None,
    progress: Progress = SILENT,
    tell: Callable[[Finding], object] = lambda finding: None,
) -> Verified:
    """Look at the chain from the row *first* on, and remember what came of it.

    *expect* are hashes of rows that are known from elsewhere. Findings are told as they are found; the first
    `SHOWN` are kept. It is remembered where nothing is left out between the last sound part and *first*.
    """
    started = timezone.now()
    sound = last_sound()
    examination = Examination(first=first, anchors={**_anchors(), **(expect or {})}, progress=progress)
    done = Verified(first=first)
    for finding in examination:
        done.findings += 1
        if done.findings <= SHOWN:
            done.shown.append(str(finding))
        tell(finding)
    done.rows, done.head = examination.rows, examination.head
    if first <= (sound.through if sound else 0) + 1:
        _remember(done, started)
    return done


def verify_new() -> Verified:
    """Verify what follows the last sound part; say so loudly where that is broken.

    That is an error in the log, an entry ``audit.broken`` and the metric ``chandlery_audit_broken``: until
    the chain is sound again, or somebody accepts its state, every time.
    """
    sound = last_sound()
    done = verify(first=max(sound.through, 1) if sound else 1)
    if done.findings:
        logger.error("the audit's chain is broken: %d findings: %s", done.findings, "; ".join(done.shown))
        record(
            action=audit_actions.AUDIT_BROKEN.name,
            outcome="failed",
            detail={
                "first": done.first, "through": done.through, "findings": done.findings, "shown": done.shown
            },
        )  # fmt: skip
    return done


def accept(*, verified: Verified, reason: str) -> Verification:
    """Let later verifications go on behind the present head, whatever is wrong before it.

    For after somebody has found out what happened. It makes an entry ``audit.accepted`` with the findings
    and the reason. Raises `HeadMissing` where there is no head, `ValueError` without a reason.
    """
    if verified.head is None:
        raise HeadMissing("audit_head is empty: there is nothing to go on from")
    if not reason.strip():
        raise ValueError("say why")
    with transaction.atomic():
        record(
            action=audit_actions.AUDIT_ACCEPTED.name,
            detail={
                "reason": reason, "through": verified.through, "findings": verified.findings,
                "shown": verified.shown,
            },
        )  # fmt: skip
        return _remember(verified, timezone.now(), accepted=reason)


def last_sound() -> Verification | None:
    """The last look that found nothing wrong, or whose findings were accepted."""
    return Verification.objects.filter(Q(findings=0) | ~Q(accepted="")).order_by("-id").first()


def last() -> Verification | None:
    """The last look."""
    return Verification.objects.order_by("-id").first()


def _anchors() -> dict[int, Anchor]:
    """The heads of earlier looks since the last that was accepted, from which the chain may differ."""
    looks = Verification.objects.order_by("-id").only(
        "through", "hash", "finished_at", "accepted", "findings"
    )
    anchors: dict[int, Anchor] = {}
    for look in looks[:_ANCHORS]:
        if look.findings == 0 or look.accepted:
            if look.through:
                anchors[look.through] = Anchor(
                    hash=bytes(look.hash), source=f"when it was verified on {look.finished_at:%Y-%m-%d %H:%M}"
                )
            if look.accepted:
                break
    return anchors


def _remember(done: Verified, started: datetime, *, accepted: str = "") -> Verification:
    return Verification.objects.create(
        first=done.first,
        through=done.through,
        hash=done.head.hash if done.head else b"",
        findings=done.findings,
        shown=done.shown,
        accepted=accepted,
        started_at=started.astimezone(UTC),
        finished_at=timezone.now(),
    )

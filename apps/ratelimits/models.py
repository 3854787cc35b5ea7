"""What operators changed of the rules at run time."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.core.addresses import network_of
from apps.ratelimits.limiter.values import LARGEST_LIMIT, LONGEST_WINDOW
from apps.ratelimits.rules.groups import Mode

_LONGEST_SECONDS = LONGEST_WINDOW // 1000


class PolicyChange(models.Model):
    """One row is what differs of one rule from the settings, for everybody or for one plan."""

    group = models.CharField(max_length=32, help_text="A group of RATELIMITS_GROUPS.")
    rule = models.CharField(max_length=32, help_text="One of its rules.")
    plan = models.CharField(
        max_length=32, blank=True, default="", help_text="Only for users in this plan; empty: for all."
    )
    limit = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MaxValueValidator(LARGEST_LIMIT)],
        help_text="Units in a window; empty: as in the settings.",
    )
    window = models.PositiveIntegerField(
        "window (s)",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(_LONGEST_SECONDS)],
        help_text="Seconds; empty: as in the settings.",
    )
    mode = models.CharField(
        max_length=8, blank=True, default="", choices=Mode.choices, help_text="Empty: as in the settings."
    )
    unlimited = models.BooleanField(default=False, help_text="The plan has no limit.")
    note = models.CharField(max_length=200, blank=True, default="", help_text="Why, for other operators.")
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "ratelimits_policy_change"
        verbose_name = "changed policy"
        verbose_name_plural = "changed policies"
        ordering = ["group", "rule", "plan"]
        constraints = [
            models.UniqueConstraint(
                fields=["group", "rule", "plan"],
                name="ratelimits_policychange_once",
                violation_error_message="This rule has been changed already: edit that row.",
            ),
            models.CheckConstraint(
                condition=Q(limit__isnull=True) | Q(limit__range=(0, LARGEST_LIMIT)),
                name="ratelimits_policychange_limit",
            ),
            models.CheckConstraint(
                condition=Q(window__isnull=True) | Q(window__range=(1, _LONGEST_SECONDS)),
                name="ratelimits_policychange_window",
            ),
            models.CheckConstraint(
                condition=Q(mode__in=["", *Mode.values]) & (Q(plan="") | Q(mode="")),
                name="ratelimits_policychange_mode",
                violation_error_message="A rule has one mode, whatever the plan.",
            ),
            models.CheckConstraint(
                condition=Q(unlimited=False) | ~Q(plan=""),
                name="ratelimits_policychange_unlimited",
                violation_error_message="Only a plan can be without a limit; switch the rule off otherwise.",
            ),
        ]

    def __str__(self) -> str:
        plan = f" ({self.plan})" if self.plan else ""
        return f"{self.group}/{self.rule}{plan}"


class AddressRule(models.Model):
    """One row is a network whose requests are never limited, or never served."""

    class Verdict(models.TextChoices):
        ALLOW = "allow", "Allow: nothing is counted"
        DENY = "deny", "Deny: nothing is served"

    network = models.CharField(max_length=49, help_text="An address or a network, as 203.0.113.0/24.")
    verdict = models.CharField(max_length=5, choices=Verdict.choices)
    until = models.DateTimeField(null=True, blank=True, help_text="Empty: until it is deleted.")
    note = models.CharField(max_length=200, blank=True, default="", help_text="Why, for other operators.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "ratelimits_address_rule"
        verbose_name = "address rule"
        ordering = ["verdict", "network"]
        constraints = [
            models.UniqueConstraint(
                fields=["network"],
                name="ratelimits_addressrule_once",
                violation_error_message="This network has a rule already.",
            ),
            models.CheckConstraint(
                condition=Q(verdict__in=["allow", "deny"]), name="ratelimits_addressrule_verdict"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.verdict} {self.network}"

    def clean(self) -> None:
        """Write the network in its one spelling. Raises `ValidationError` for what is none."""
        try:
            self.network = str(network_of(self.network))
        except ValueError as exc:
            raise ValidationError({"network": str(exc)}) from None

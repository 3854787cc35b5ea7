"""Where people see what a mail is about."""

from __future__ import annotations

from typing import TypedDict

from django.contrib.auth.models import AbstractBaseUser, PermissionsMixin
from django.db import models
from django.urls import reverse


class Links(TypedDict):
    """Fields of a kind's context."""

    #: A page that whom the mail is for may open; empty where there is none.
    url: str
    #: What shows the same to them over the API.
    api: str


def links_to(row: models.Model, *, user: AbstractBaseUser, api: str) -> Links:
    """How *user* gets to see *row*: its page in the admin where they may open that, and the path *api*."""
    meta = row._meta
    may_look = (
        getattr(user, "is_staff", False)
        and isinstance(user, PermissionsMixin)
        and any(user.has_perm(f"{meta.app_label}.{verb}_{meta.model_name}") for verb in ("view", "change"))
    )
    page = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk]) if may_look else ""
    return {"url": page, "api": api}

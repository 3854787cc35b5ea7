"""What tests of candles in the admin share."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

XSS = "<script>alert('candle')</script>"


def listing(model: str) -> str:
    return reverse(f"admin:candles_{model}_changelist")


def page_of(row: Any) -> str:
    return reverse(f"admin:candles_{row._meta.model_name}_change", args=[row.pk])


def text(response: Any) -> str:
    assert response.status_code == 200
    found: str = response.content.decode()
    return found


def listed(web: Client, model: str, **query: Any) -> list[Any]:
    response = web.get(listing(model), query)
    assert response.status_code == 200, query
    return [row.pk for row in response.context["cl"].result_list]


def cells(page: str, field: str) -> list[str]:
    """What stands in one column of a list, without tags."""
    found = re.findall(rf'<t[dh] class="field-{field}[^"]*">(.*?)</t[dh]>', page, re.DOTALL)
    return [" ".join(unescape(re.sub(r"<[^>]+>", " ", cell)).split()) for cell in found]


def act(web: Client, model: str, action: str, rows: Any, **more: Any) -> Any:
    """Choose an action on rows of a list, as the form of the list does."""
    chosen = {"action": action, "index": 0, "_selected_action": [row.pk for row in rows]}
    return web.post(listing(model), {**chosen, **more}, follow=True)


def answer(web: Client, model: str, asked: Any, **fields: Any) -> Any:
    """Answer the page that asks, with what it hides and *fields*."""
    page = text(asked)
    hidden: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page):
        hidden.setdefault(name, []).append(unescape(value))
    hidden.pop("csrfmiddlewaretoken", None)
    return web.post(listing(model), {**hidden, **fields}, follow=True)


def told(response: Any) -> list[str]:
    """The messages that people are shown, or are going to be."""
    if response.context and "messages" in response.context:
        return [str(one) for one in response.context["messages"]]
    return [str(one) for one in get_messages(response.wsgi_request)]


def staff(name: str, *permissions: str) -> Client:
    """A client of somebody who may only do so much."""
    user = get_user_model().objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    web = Client()
    web.force_login(user)
    return web

"""Changes to webhooks: the public face for writing."""

from __future__ import annotations

from apps.webhooks.endpoints import (
    InvalidEndpoint,
    Issued,
    endpoint_create,
    endpoint_disable,
    endpoint_rotate,
    endpoint_rotate_secret,
    endpoint_rotate_signing_secret,
    endpoint_rotate_token,
    endpoint_update,
)
from apps.webhooks.log import deliveries_log
from apps.webhooks.pruning import Pruned, prune
from apps.webhooks.receiving import Answer, receive

__all__ = [
    "Answer",
    "InvalidEndpoint",
    "Issued",
    "Pruned",
    "deliveries_log",
    "endpoint_create",
    "endpoint_disable",
    "endpoint_rotate",
    "endpoint_rotate_secret",
    "endpoint_rotate_signing_secret",
    "endpoint_rotate_token",
    "endpoint_update",
    "prune",
    "receive",
]

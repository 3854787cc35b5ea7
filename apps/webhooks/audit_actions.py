"""What of webhooks is audited."""

from __future__ import annotations

from apps.audit import Action, Level, register

_OF_ENDPOINTS = {
    "webhook.endpoint_created": ("Endpoint created", Level.NOTICE),
    "webhook.endpoint_changed": ("Endpoint changed", Level.INFO),
    "webhook.endpoint_disabled": ("Endpoint switched off", Level.NOTICE),
    "webhook.token_rotated": ("Token of an endpoint changed", Level.NOTICE),
    "webhook.secret_rotated": ("Secret of an endpoint changed", Level.NOTICE),
    "webhook.signing_secret_rotated": ("Signing secret of an endpoint changed", Level.NOTICE),
}
_OF_DELIVERIES = {
    "webhook.accepted": ("Signal accepted", Level.INFO),
    "webhook.recorded": ("Event without an order recorded", Level.INFO),
    "webhook.duplicate": ("Signal came again", Level.INFO),
    "webhook.refused": ("Signal refused", Level.NOTICE),
    "webhook.address_blocked": ("Signal from an address that is not allowed", Level.WARNING),
    "webhook.timestamp_expired": ("Signal too old", Level.WARNING),
    "webhook.secret_wrong": ("Signal with a wrong secret or signature", Level.WARNING),
    "webhook.replay_conflict": ("Another signal with the key of an earlier one", Level.WARNING),
    "webhook.failed": ("Signal not recorded", Level.WARNING),
}

for _object_type, _actions in (
    ("webhooks.endpoint", _OF_ENDPOINTS),
    ("webhooks.delivery", _OF_DELIVERIES),
):
    for _name, (_label, _level) in _actions.items():
        register(Action(name=_name, label=_label, object_type=_object_type, level=_level))

"""What of users' keys, logins and passwords is audited, besides signing in and out."""

from __future__ import annotations

from apps.audit import Action, Level, register

for _name, _label, _object_type in (
    ("key.changed", "API key changed", "identity.apikey"),
    ("key.created", "API key created", "identity.apikey"),
    ("key.revoked", "API key or login token revoked", "identity.apikey"),
    ("key.rotated", "Secret of an API key changed", "identity.apikey"),
    ("login.ended_everywhere", "Signed out everywhere", "auth.user"),
    ("password.changed", "Password changed", "auth.user"),
):
    register(Action(name=_name, label=_label, object_type=_object_type, level=Level.NOTICE))

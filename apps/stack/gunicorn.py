"""gunicorn's settings in the embedded stack; what a version does not know it passes over."""

from __future__ import annotations

graceful_timeout = 5
# Whom to believe of TLS is for the product to say: gunicorn would believe whoever connects from this machine.
secure_scheme_headers: dict[str, str] = {}
# Its default place is the home folder, which may be shared or not writable.
control_socket_disable = True

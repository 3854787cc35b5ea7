"""How passwords are kept."""

from __future__ import annotations

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2idHasher(Argon2PasswordHasher):
    """Argon2id with the second recommended choice of RFC 9106: 3 passes over 64 MiB in 4 lanes.

    Django's own asks for 100 MiB, which a web server's threads may each need at once.
    """

    time_cost = 3
    memory_cost = 64 * 1024
    parallelism = 4

"""How passwords are kept."""

from __future__ import annotations

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2idHasher(Argon2PasswordHasher):
    """Argon2id with one pass over 46 MiB in one lane: the first choice of OWASP's cheat sheet on passwords.

    Django's own takes 100 MiB and four times as long in eight threads, which each thread of a web server
    would do at once.
    """

    time_cost = 1
    memory_cost = 46 * 1024
    parallelism = 1

from __future__ import annotations

from typing import Any

import environ
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction


class Command(BaseCommand):
    """Makes sure that the superuser ADMIN_USERNAME exists with ADMIN_PASSWORD; may be run again and again.

    Both are read from the environment, or from the file that ``…_FILE`` there names.
    """

    # They would import every view; `manage.py check` is there for them.
    requires_system_checks: list[str] = []
    help = "Creates the superuser ADMIN_USERNAME with ADMIN_PASSWORD, or gives it that password again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--migrate", action="store_true", help="apply the migrations first")
        parser.add_argument(
            "--keep", action="store_true", help="leave an account that is there as it is, password and all"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["migrate"]:
            call_command("migrate", interactive=False, stdout=self.stdout, stderr=self.stderr)
        self._ensure(keep=options["keep"])

    @transaction.atomic
    def _ensure(self, *, keep: bool) -> None:
        env = environ.FileAwareEnv()
        try:
            name, password = env.str("ADMIN_USERNAME"), env.str("ADMIN_PASSWORD").strip()
        except ImproperlyConfigured:
            name = password = ""
        if not name or not password:
            raise CommandError("ADMIN_USERNAME and ADMIN_PASSWORD must be set")
        email = env.str("ADMIN_EMAIL", default=f"{name}@example.com")
        users = get_user_model()._default_manager.select_for_update()
        user = users.filter(username=name).first()
        if user is None:
            user = get_user_model()(username=name, email=email)
        elif keep:
            self.stdout.write(f"{name} is there")
            return
        elif user.is_active and user.is_staff and user.is_superuser and user.check_password(password):
            self.stdout.write(f"{name} is as it should be")
            return
        user.is_active = user.is_staff = user.is_superuser = True
        user.set_password(password)
        user.save()
        self.stdout.write(f"{name} is ready")

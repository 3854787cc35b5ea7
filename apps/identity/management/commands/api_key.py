"""Make, list and revoke API keys of users."""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.audit.management.acting import acting
from apps.core import context
from apps.core.scopes import SCOPES
from apps.identity import selectors, services
from apps.identity.models import ApiKey
from apps.tasks.cli.tables import console, moment, table


class Command(BaseCommand):
    help = "Make, list and revoke API keys of users. The token of a new one is printed once."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True, metavar="command")
        create = commands.add_parser("create", help="make a key, and print its token on a line of its own")
        create.add_argument("user", help="the user's name")
        create.add_argument("--name", required=True, help="what it is for")
        create.add_argument(
            "--scope", action="append", required=True, metavar="SCOPE", dest="scopes", choices=SCOPES,
            help=f"what it may do; may be given several times: {', '.join(SCOPES)}",
        )  # fmt: skip
        create.add_argument("--days", type=int, help="for how many days it is good (90)")
        create.add_argument(
            "--network", action="append", default=[], metavar="NETWORK", dest="networks",
            help="an address or network that it is taken from; may be given several times",
        )  # fmt: skip
        listing = commands.add_parser("list", help="the keys and logins that are good now")
        listing.add_argument("user", nargs="?", help="of one user")
        listing.add_argument("--all", action="store_true", help="also those that are over")
        listing.add_argument("--json", action="store_true", help="for scripts")
        revoke = commands.add_parser("revoke", help="end keys or logins, for good")
        revoke.add_argument("ids", nargs="+", type=uuid.UUID, metavar="ID")

    def handle(self, *args: Any, **options: Any) -> None:
        with acting():
            getattr(self, f"_{options['command']}")(options)

    def _create(self, options: dict[str, Any]) -> None:
        try:
            issued = services.key_create(
                user=_user(options["user"]),
                name=options["name"],
                scopes=options["scopes"],
                networks=options["networks"],
                expires_in_days=options["days"],
                by=context.current().actor,
            )
        except services.InvalidKey as exc:
            raise CommandError(f"{exc.field}: {exc}") from None
        self.stderr.write(f"{issued.key.pk}, good until {moment(issued.key.expiry)} UTC; shown only now:")
        self.stdout.write(issued.token)

    def _list(self, options: dict[str, Any]) -> None:
        found = ApiKey.objects.select_related("user").order_by("-id")
        if options["user"]:
            found = found.filter(user=_user(options["user"]))
        if not options["all"]:
            found = found.filter(selectors.active())
        if options["json"]:
            self.stdout.write(json.dumps([_document(key) for key in found], indent=2))
            return
        shown = table("id", "user", "kind", "name", "token", "state", "scopes", "good until", "last used")
        for key in found.iterator():
            shown.add_row(
                str(key.pk), str(key.user), key.kind, key.name, key.hint, key.state, " ".join(key.scopes),
                moment(key.expiry), moment(key.last_used_at),
            )  # fmt: skip
        console(self.stdout).print(shown)

    def _revoke(self, options: dict[str, Any]) -> None:
        found = ApiKey.objects.in_bulk(options["ids"])
        missing = [str(key_id) for key_id in options["ids"] if key_id not in found]
        if missing:
            raise CommandError(f"there is no key {', '.join(missing)}; nothing was revoked")
        for key in found.values():
            done = services.key_revoke(key=key, by=context.current().actor)
            self.stdout.write(f"{key.pk} {'is revoked' if done else 'was revoked already'}")


def _user(name: str) -> Any:
    user = get_user_model()
    try:
        return user._default_manager.get_by_natural_key(name)
    except user.DoesNotExist:
        raise CommandError(f"there is no user {name!r}") from None


def _document(key: ApiKey) -> dict[str, Any]:
    return {
        "id": str(key.pk),
        "user": key.user.get_username(),
        "kind": key.kind,
        "name": key.name,
        "state": key.state,
        "scopes": key.scopes,
        "networks": key.networks,
        "created": key.created.isoformat(),
        "expiry": key.expiry.isoformat() if key.expiry else None,
        "last_used_at": key.last_used_at.isoformat() if key.last_used_at else None,
    }

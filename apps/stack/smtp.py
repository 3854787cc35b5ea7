"""The SMTP sink as a process; what it runs is `apps.stack.smtp_server`."""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from apps.stack import environment
from apps.stack.child import Service
from apps.stack.folders import CHECKOUT
from apps.stack.probes import answers_smtp
from apps.stack.sockets import HOST, port_of


@dataclass(frozen=True, kw_only=True)
class Smtp:
    """One sink on an inherited *listener*; each mail becomes a file in *folder*."""

    listener: socket.socket
    folder: Path

    def url(self) -> str:
        """Its EMAIL_URL."""
        return f"smtp://{HOST}:{port_of(self.listener)}"

    def environ(self) -> dict[str, str]:
        """What the product needs to reach it."""
        return {"EMAIL_URL": self.url()}

    def service(self) -> Service:
        """The sink as a process."""
        fd = self.listener.fileno()
        return Service(
            name="smtp",
            argv=(sys.executable, "-m", "apps.stack.smtp_server", "--fd", str(fd), str(self.folder)),
            environ=environment.inherited(),
            folder=CHECKOUT,
            ready=answers_smtp(HOST, port_of(self.listener)),
            stop_timeout=5.0,
            inherit=(fd,),
        )


def mails(folder: Path) -> list[EmailMessage]:
    """The mails in *folder* in the order in which they arrived."""
    return [
        message_from_bytes(path.read_bytes(), policy=policy.default) for path in sorted(folder.glob("*.eml"))
    ]

"""An SMTP server that delivers nothing: every mail becomes an ``.eml`` file in a folder.

Run as ``python -m apps.stack.smtp_server --fd N FOLDER``. The names sort by time of arrival, and a
file has its name only when it is whole. The envelope is kept in ``X-Envelope-From`` and ``X-Envelope-To``.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import signal
import time
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from apps.stack.sockets import inherited


class Sink:
    """aiosmtpd's handler; `handle_DATA` answers 250 once the mail is on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = itertools.count()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        name = f"{time.time_ns():020d}-{os.getpid()}-{next(self._numbers):06d}.eml"
        recipients = ", ".join(envelope.rcpt_tos)
        head = f"X-Envelope-From: {envelope.mail_from}\r\nX-Envelope-To: {recipients}\r\n".encode()
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        making = self.folder / f"{name}.part"
        making.write_bytes(head + content)
        making.rename(self.folder / name)
        return "250 kept"


async def serve(options: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT."""
    options.folder.mkdir(parents=True, exist_ok=True)
    sink = Sink(options.folder)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    listener = inherited(options.fd, options.port)
    server = await loop.create_server(
        lambda: SMTP(sink, hostname="chandlery.invalid", enable_SMTPUTF8=True), sock=listener
    )
    await ended.wait()
    server.close()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="An SMTP server that keeps every mail as a file.")
    parser.add_argument("--fd", type=int, help="an inherited listening socket")
    parser.add_argument("--port", type=int, help="or a loopback port to listen on")
    parser.add_argument("folder", type=Path)
    asyncio.run(serve(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()

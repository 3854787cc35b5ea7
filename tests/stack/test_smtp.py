from __future__ import annotations

import smtplib
import threading
from email.message import EmailMessage

from apps.stack.testing import SmtpSink


def _mail(subject: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "Chandlery <desk@example.com>"
    mail["To"] = "trader@example.com"
    mail["Subject"] = subject
    mail.set_content("Ein Häkchen: ✓\n.\nand a line with a dot before this one\n")
    return mail


def test_every_mail_is_kept_whole_and_in_order() -> None:
    with SmtpSink() as sink:
        with smtplib.SMTP("127.0.0.1", sink.port, timeout=30) as client:
            for number in range(12):
                client.send_message(_mail(f"Backtest {number} finished"))
        mails = sink.mails()
        assert [mail["Subject"] for mail in mails] == [f"Backtest {n} finished" for n in range(12)]
        assert mails[0].get_content().replace("\r\n", "\n") == _mail("").get_content()
        assert mails[0]["X-Envelope-To"] == "trader@example.com"
        assert all(path.suffix == ".eml" for path in sink.mail_folder.iterdir())


def test_a_mail_has_its_name_only_when_it_is_whole() -> None:
    large = _mail("Result")
    large.add_attachment(b"x" * 3_000_000, maintype="application", subtype="octet-stream")
    sizes: set[int] = set()
    with SmtpSink() as sink:
        done = threading.Event()

        def watch() -> None:
            while not done.is_set():
                sizes.update(len(bytes(mail)) for mail in sink.mails())

        watcher = threading.Thread(target=watch)
        watcher.start()
        with smtplib.SMTP("127.0.0.1", sink.port, timeout=30) as client:
            for _ in range(5):
                client.send_message(large)
        done.set()
        watcher.join()
        sizes.update(len(bytes(mail)) for mail in sink.mails())
        assert len(sink.mails()) == 5
    assert len(sizes) == 1


def test_mails_survive_a_kill() -> None:
    with SmtpSink() as sink:
        for number in range(2):
            with smtplib.SMTP("127.0.0.1", sink.port, timeout=30) as client:
                client.send_message(_mail(str(number)))
            sink.kill()
            sink.start()
        assert [mail["Subject"] for mail in sink.mails()] == ["0", "1"]

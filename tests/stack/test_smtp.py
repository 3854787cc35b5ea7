from __future__ import annotations

import smtplib
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


def test_mails_survive_a_kill() -> None:
    with SmtpSink() as sink:
        for number in range(2):
            with smtplib.SMTP("127.0.0.1", sink.port, timeout=30) as client:
                client.send_message(_mail(str(number)))
            sink.kill()
            sink.start()
        assert [mail["Subject"] for mail in sink.mails()] == ["0", "1"]

"""Send a mail through a server, or without one put it into an outbox folder as a file that mail programs open."""

from __future__ import annotations

import argparse
import mimetypes
import os
import smtplib
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path

from common import BadInput, run, write_text

#: Seconds until a mail server has answered.
PATIENCE_S = 30


def compose(sender: str, to: str, subject: str, text: str, attachments: Sequence[Path]) -> EmailMessage:
    """The mail. Several addresses in `to` have commas between them."""
    mail = EmailMessage()
    try:
        mail["From"], mail["To"], mail["Subject"] = sender, to, subject
    except ValueError as error:
        raise BadInput(f"this cannot stand in the head of a mail: {error}") from None
    if not mail["To"].addresses or not all(address.domain for address in mail["To"].addresses):
        raise BadInput(f"{to!r} is no list of mail addresses")
    mail["Date"] = formatdate(localtime=True)
    mail["Message-ID"] = make_msgid(domain="localhost")
    mail.set_content(text)
    for path in attachments:
        kind = (mimetypes.guess_type(path.name)[0] or "application/octet-stream").split("/")
        mail.add_attachment(path.read_bytes(), maintype=kind[0], subtype=kind[1], filename=path.name)
    return mail


def post(mail: EmailMessage, server: str) -> None:
    """Hand the mail to `host` or `host:port`."""
    host, _, port = server.partition(":")
    if port and not port.isdigit():
        raise BadInput(f"{server!r} is no mail server; expected host or host:port")
    try:
        with smtplib.SMTP(host, int(port or 25), timeout=PATIENCE_S) as connection:
            connection.send_message(mail)
    except (OSError, smtplib.SMTPException) as error:
        raise BadInput(f"the mail server {server} does not take the mail: {error}") from None
    print(f"sent to {mail['To']} through {server}")


def keep(mail: EmailMessage, outbox: Path) -> None:
    """Write the mail into the outbox. A task that is tried again replaces its mail, and does not add one."""
    run_id, task = os.environ.get("CDKTR_WORKFLOW_INSTANCE_ID", "by-hand"), os.environ.get("CDKTR_TASK_ID", "mail")
    path = outbox / f"{run_id}-{task}.eml"
    write_text(path, mail.as_string())
    print(f"no mail server is named, so the mail to {mail['To']} lies in {path}")


def main() -> None:
    """Read the command line and send the mail."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", required=True, help="addresses, with commas between them")
    parser.add_argument("--sender", default="cdktr@localhost", help="whose mail it is")
    parser.add_argument("--subject", required=True)
    parser.add_argument("--text", type=Path, required=True, help="the file with the text")
    parser.add_argument("--attach", type=Path, action="append", default=[], help="a file to attach")
    parser.add_argument("--smtp", default="", help="the mail server, host or host:port; without it the outbox is used")
    parser.add_argument("--outbox", type=Path, required=True, help="the folder for mail that is not sent")
    arguments = parser.parse_args()
    text = arguments.text.read_text(encoding="utf-8")
    mail = compose(arguments.sender, arguments.to, arguments.subject, text, arguments.attach)
    if arguments.smtp:
        post(mail, arguments.smtp)
    else:
        keep(mail, arguments.outbox)


if __name__ == "__main__":
    run(main)

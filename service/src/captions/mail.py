"""Mail: the work of a welcome's job. Runs in a child process of the worker, so that a slow relay blocks nobody.

At least once: a worker that is killed after the relay took the mail, and before that was written down, sends it again,
under the same Message-ID, by which mailboxes drop the second.

No address is ever logged: errors name the relay's code alone.
"""

from __future__ import annotations

import smtplib
from email.message import EmailMessage
from typing import TYPE_CHECKING, Annotated, Final

from plimsoll_runtime.errors import SettingsError
from plimsoll_runtime.jobs.model import PermanentError
from plimsoll_runtime.settings import Environment
from pydantic import Field

if TYPE_CHECKING:
    from plimsoll_runtime.jobs.model import Json, StepInput

RELAY_SECONDS: Final = 20
PERMANENT: Final = 500
"""SMTP replies from here on are meant for good."""


class MailSettings(Environment):
    """The relay, from the worker's environment. It takes mail from inside the cluster without a login."""

    smtp_host: Annotated[str, Field(min_length=1)]
    """The relay's host; without one no mail can be sent."""

    smtp_port: Annotated[int, Field(ge=1, le=65535)] = 25
    """The relay's port."""

    mail_from: Annotated[str, Field(pattern=r"^[^@\s<>]+@[^@\s<>]+$")] = "captions@localhost"
    """Whom a mail is from."""


class RelayError(Exception):
    """The relay did not take the mail; later it may."""


def deliver(step: StepInput) -> Json:
    """Send one welcome.

    Raises:
        PermanentError: no relay is configured, or it refuses for good.
        RelayError: it is away, or refuses for now.
    """
    try:
        settings = MailSettings.load()
    except SettingsError as error:
        raise PermanentError(f"no mail can be sent: {error}") from None
    message = EmailMessage()
    message["From"] = settings.mail_from
    message["To"] = step.input["email"]
    message["Subject"] = "Welcome to captions"
    message["Message-ID"] = f"<{step.job}@{settings.mail_from.partition('@')[2]}>"
    message.set_content("Your account is ready. Send us a slide, and we read it to you.\n")
    try:
        with smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=RELAY_SECONDS) as relay:
            relay.send_message(message)
    except (smtplib.SMTPException, OSError) as error:
        code = _code(error)
        said = f"the relay did not take the mail: {type(error).__name__}" + (f" {code}" if code else "")
        raise (PermanentError if code >= PERMANENT else RelayError)(said) from None  # its text may hold the address
    return {}


def _code(error: Exception) -> int:
    """The SMTP reply code in an error, or 0."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return max((code for code, _ in error.recipients.values()), default=0)
    return error.smtp_code if isinstance(error, smtplib.SMTPResponseException) else 0

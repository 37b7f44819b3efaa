"""Voicemail boxes in Django's admin."""

from __future__ import annotations

from django.contrib import admin

from accounts.scoped_admin import ScopedAdmin
from voicemail import pbx_admin, spool_admin  # noqa: F401  # They register their own.
from voicemail.mailbox_form import MailboxFormAdmin
from voicemail.mailbox_list import MailboxListAdmin
from voicemail.models import Voicemailbox
from voicemail.restore_admin import RestoreAdmin


@admin.register(Voicemailbox)
class VoicemailboxAdmin(MailboxListAdmin, RestoreAdmin, MailboxFormAdmin):
    """Voicemail boxes: an account's admin does everything with the account's."""

    account_admin_may = ScopedAdmin.staff_may

"""Mailboxes at the shell."""

from __future__ import annotations

from accounts.management.base import NounCommand
from voicemail.management import boxes, transfers


class Command(NounCommand):
    """Add, list, show, change, delete and restore mailboxes, one by one and in files."""

    verbs = (*boxes.VERBS, *transfers.VERBS)

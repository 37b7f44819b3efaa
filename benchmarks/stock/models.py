"""The same columns in a table of its own."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from accounts.models import Account, Organization


class Box(models.Model):
    """A voicemail box as a team would declare it first."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    domain = models.CharField(max_length=79)
    status = models.CharField(max_length=8, default="enabled")
    mailbox = models.PositiveIntegerField()
    password = models.CharField(max_length=7)
    fullname = models.CharField(max_length=128)
    timezone = models.CharField(max_length=16, default="us_eastern")
    say_caller_id = models.BooleanField(default=False)
    say_duration = models.BooleanField(default=False)
    say_datetime = models.BooleanField(default=False)
    notify_email = models.CharField(max_length=8, default="no")
    notify_pager = models.CharField(max_length=8, default="no")
    email = models.EmailField(blank=True)
    pager = models.EmailField(max_length=79, blank=True)
    mwi = models.CharField(max_length=144, blank=True)
    username = models.CharField(max_length=64)
    created = models.DateTimeField(auto_now_add=True)
    modified = models.DateTimeField(auto_now=True)

    objects: ClassVar[models.Manager[Box]] = models.Manager()

    class Meta:
        app_label = "stock"
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(fields=["organization", "mailbox"], name="stock_mailbox"),
            models.UniqueConstraint(fields=["organization", "username"], name="stock_username"),
        )
        indexes = (models.Index(fields=["organization", "id"], name="stock_by_organization"),)

    def __str__(self) -> str:
        return f"{self.mailbox} {self.fullname}"

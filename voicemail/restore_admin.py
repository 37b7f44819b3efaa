"""The way back for mailboxes: former versions, deleted boxes, and the list of these."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from accounts.history_admin import HistoryAdmin, newest_first
from voicemail import services
from voicemail.models import Voicemailbox
from voicemail.pins import name_of


class RestoreAdmin(HistoryAdmin[Voicemailbox]):
    """Bring back mailboxes, deleted ones too."""

    kind: ClassVar[str] = "Mailbox"
    restored_fields = services.FORMER_FIELDS

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.deleted_view)
        return [path("deleted/", view, name="voicemail_voicemailbox_deleted"), *super().get_urls()]

    def restore(self, row: Any) -> Voicemailbox:
        return services.restore_voicemailbox(row)

    def former(self, row: Any, present: Voicemailbox | None) -> Voicemailbox:
        return services.former_voicemailbox(row, present)

    def may_restore(self, request: HttpRequest, present: Voicemailbox | None) -> bool:
        if present is None:
            return self.has_add_permission(request)
        return super().may_restore(request, present)

    def named(self, restored: Voicemailbox) -> str:
        return name_of(restored)

    def deleted_view(self, request: HttpRequest) -> HttpResponse:
        """List the boxes that were deleted and not brought back, the last one first."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        later = self.rows(request).filter(id=OuterRef("id"), history_id__gt=OuterRef("history_id"))
        rows = self.rows(request).filter(~Exists(later), history_type="-")
        context = {
            "title": "Deleted mailboxes",
            "page": newest_first(request, rows),
            "may_restore": self.may_restore(request, None),
        }
        return self.answer(request, "admin/voicemail/voicemailbox/deleted.html", context)

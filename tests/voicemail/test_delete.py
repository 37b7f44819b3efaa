"""VoicemailboxDelete (docs/voicemail.md, Delete)."""

from __future__ import annotations

import pytest

from accounts.models import Organization
from tests.api import ApiClient
from tests.factories import make_voicemailbox
from voicemail.models import Voicemailbox


@pytest.fixture
def box(organization: Organization) -> Voicemailbox:
    return make_voicemailbox(organization, mailbox=7011, username="joe.vm", password="0042")


def test_deleting_removes_the_box(as_alice: ApiClient, box: Voicemailbox) -> None:
    reply = as_alice.call("VoicemailboxDelete", VoicemailboxId=box.pk)
    assert reply.is_completed
    assert reply.result == {}
    assert not Voicemailbox.unscoped.exists()


def test_the_history_keeps_all_that_a_restore_needs(as_alice: ApiClient, box: Voicemailbox) -> None:
    stored = Voicemailbox.unscoped.values().get()
    as_alice.call("VoicemailboxDelete", VoicemailboxId=box.pk)
    kept = Voicemailbox.history.filter(history_type="-").values(*stored).get()
    assert kept == stored


def test_number_and_address_are_free_at_once(as_alice: ApiClient, box: Voicemailbox) -> None:
    as_alice.call("VoicemailboxDelete", VoicemailboxId=box.pk)
    again = make_voicemailbox(box.organization, mailbox=7011, username="joe.vm")
    assert again.pk > box.pk


def test_deleting_again_is_unrecognized(as_alice: ApiClient, box: Voicemailbox) -> None:
    as_alice.call("VoicemailboxDelete", VoicemailboxId=box.pk)
    reply = as_alice.call("VoicemailboxDelete", VoicemailboxId=box.pk)
    assert reply.errors == [("VoicemailboxId", "Voicemailbox.Unrecognized")]
    assert reply.messages == ["This voicemailbox is not recognized by the system."]


def test_deleting_anothers_mailbox_reports_it_missing(
    as_charlie: ApiClient, box: Voicemailbox
) -> None:
    reply = as_charlie.call("VoicemailboxDelete", VoicemailboxId=box.pk)
    assert reply.errors == [("VoicemailboxId", "Voicemailbox.Unrecognized")]
    assert Voicemailbox.unscoped.filter(pk=box.pk).exists()

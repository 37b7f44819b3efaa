"""Realtime over HTTP (docs/asterisk.md, Realtime over HTTP)."""

from __future__ import annotations

import base64
from typing import Any
from unittest.mock import patch

import pytest
from django.db import OperationalError
from django.test import Client

from accounts.models import Account, Change, Organization, Status
from tests.asterisk.pbx import Asterisk, make_pbx, post
from tests.factories import make_organization, make_voicemailbox
from voicemail.models import Pbx, RefusedPin, Voicemailbox


@pytest.fixture
def asterisk(db: None) -> Asterisk:
    pbx, credential = make_pbx()
    return Asterisk(pbx.name, credential)


@pytest.fixture
def box(organization: Organization) -> Voicemailbox:
    return make_voicemailbox(organization, mailbox=1001, password="0042", fullname="Joe Smith")


ACME = "acme.example.com"


def test_a_box_is_found_by_number_and_context(asterisk: Asterisk, box: Voicemailbox) -> None:
    found = asterisk.single(mailbox="1001", context=ACME)

    assert found is not None
    assert found["uniqueid"] == str(box.pk)
    assert found["password"] == "0042"
    assert found["context"] == ACME


def test_a_record_is_one_line_of_percent_encoded_pairs(
    asterisk: Asterisk, box: Voicemailbox
) -> None:
    answer = asterisk.ask("single", f"mailbox=1001&context={ACME}")

    assert answer.status == 200
    assert b"fullname=Joe%20Smith" in answer.body
    assert b"\n" not in answer.body
    assert b"+" not in answer.body


def test_the_order_of_the_keys_does_not_matter(asterisk: Asterisk, box: Voicemailbox) -> None:
    assert asterisk.single(context=ACME, mailbox="1001") is not None


def test_a_context_is_found_in_any_case(asterisk: Asterisk, box: Voicemailbox) -> None:
    assert asterisk.single(mailbox="1001", context="ACME.Example.com") is not None


def test_single_is_one_query(
    asterisk: Asterisk, box: Voicemailbox, django_assert_num_queries: Any
) -> None:
    asterisk.single(mailbox="1001", context=ACME)  # It notes once a minute that the PBX was seen.
    with django_assert_num_queries(1):
        assert asterisk.single(mailbox="1001", context=ACME) is not None


def test_a_number_alone_finds_the_box_of_the_one_organization_that_has_it(
    asterisk: Asterisk, box: Voicemailbox
) -> None:
    assert asterisk.single(mailbox="1001") is not None


def test_a_number_that_two_organizations_have_finds_nobody(
    asterisk: Asterisk, box: Voicemailbox, other_organization: Organization
) -> None:
    make_voicemailbox(other_organization, mailbox=1001)

    assert asterisk.single(mailbox="1001") is None


@pytest.mark.parametrize("what", ["box", "organization", "account"])
def test_what_is_disabled_does_not_exist_for_a_pbx(
    asterisk: Asterisk, box: Voicemailbox, what: str
) -> None:
    disabled: Any = {"box": box, "organization": box.organization, "account": box.account}[what]
    type(disabled).unscoped.filter(pk=disabled.pk).update(status=Status.DISABLED)

    assert asterisk.ask("single", f"mailbox=1001&context={ACME}").body == b""


@pytest.mark.parametrize(
    "body",
    [
        "",
        "mailbox=",
        "context=acme.example.com",
        "mailbox=1002&context=acme.example.com",
        "mailbox=01001&context=acme.example.com",
        "mailbox=1001%00&context=acme.example.com",
        "mailbox=1001&context=",
        "mailbox=1001&context=acme",
        "mailbox=1001&context=acme.example.com.",
        "mailbox=1001&context=acme.example.com%00",
        "mailbox=1001&context=acme.example.com%20",
        "mailbox=1001&context=x/../acme.example.com",
        "mailbox=1001&context=acme%252eexample.com",
        "mailbox=1001&context=%25",
        "mailbox%20LIKE=%25&context=acme.example.com",
        "mailbox%20!%3D=1&context=acme.example.com",
        "mailbox=1001&context=acme.example.com&password=x",
        "mailbox=%D9%A1%D9%A0%D9%A0%D9%A1&context=acme.example.com",
        "mailbox=1001&context=a\u017fme.example.com",
        "mailbox=" + "1" * 5000,
        "x" * 20_000,
    ],
)
def test_whatever_is_no_box_is_an_empty_body(
    asterisk: Asterisk, box: Voicemailbox, body: str
) -> None:
    assert asterisk.ask("single", body).body == b""


def test_a_limited_pbx_gets_its_organizations_alone(
    box: Voicemailbox, other_organization: Organization
) -> None:
    make_voicemailbox(other_organization, mailbox=1001)
    pbx, credential = make_pbx("limited", organizations=[other_organization])
    limited = Asterisk(pbx.name, credential)

    assert limited.single(mailbox="1001", context="globex.example.com") is not None
    for spelling in (
        ACME,
        "ACME.EXAMPLE.COM",
        "acme.example.com.",
        "globex.example.com/../" + ACME,
    ):
        assert limited.single(mailbox="1001", context=spelling) is None


def test_a_number_alone_means_only_what_the_pbx_may_ask_for(
    box: Voicemailbox, other_organization: Organization
) -> None:
    theirs = make_voicemailbox(other_organization, mailbox=1001)
    pbx, credential = make_pbx("limited", organizations=[other_organization])

    found = Asterisk(pbx.name, credential).single(mailbox="1001")

    assert found is not None
    assert found["uniqueid"] == str(theirs.pk)


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"pbx1").decode(),
        "Basic " + base64.b64encode(b"pbx1:wrong").decode(),
        "Basic " + base64.b64encode(b"\xff:\xff").decode(),
        "Bearer wrong",
        "Digest x=y",
    ],
)
@pytest.mark.parametrize("operation", ["single", "multi", "update", "require", "store", "static"])
def test_without_credentials_every_body_is_empty(
    asterisk: Asterisk, box: Voicemailbox, authorization: str | None, operation: str
) -> None:
    answer = post(
        asterisk.endpoint,
        f"/asterisk/voicemail/{operation}?&context={ACME}mailbox=1001",
        f"mailbox=1001&context={ACME}",
        authorization,
    )

    assert answer.body == b""


def test_a_bearer_token_is_enough(asterisk: Asterisk, box: Voicemailbox) -> None:
    answer = asterisk.ask_as_script("voicemail/single", f"mailbox=1001&context={ACME}")

    assert "uniqueid=" in answer


def test_the_credential_of_one_pbx_is_not_anothers(asterisk: Asterisk, box: Voicemailbox) -> None:
    make_pbx("pbx2")

    assert Asterisk("pbx2", asterisk.credential).single(mailbox="1001", context=ACME) is None


def test_a_disabled_pbx_gets_nothing(asterisk: Asterisk, box: Voicemailbox) -> None:
    Pbx.unscoped.update(is_active=False)

    assert asterisk.single(mailbox="1001", context=ACME) is None


def test_only_a_digest_of_the_credential_is_stored(asterisk: Asterisk) -> None:
    assert asterisk.credential not in str(Pbx.unscoped.values().get())


def test_it_is_noted_when_a_pbx_was_seen(asterisk: Asterisk, box: Voicemailbox) -> None:
    assert Pbx.unscoped.get().last_seen is None
    asterisk.single(mailbox="1001", context=ACME)

    assert Pbx.unscoped.get().last_seen is not None


@pytest.mark.parametrize("error", [OperationalError("a=b"), RuntimeError("a=b"), KeyError("a=b")])
def test_a_failure_has_an_empty_body(
    asterisk: Asterisk, box: Voicemailbox, error: Exception
) -> None:
    with patch("voicemail.asterisk.views.find_row", side_effect=error):
        answer = asterisk.ask("single", f"mailbox=1001&context={ACME}")

    assert (answer.status, answer.body) == (503, b"")


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(
    "path", ["/asterisk/voicemail/single", "/asterisk/nowhere", "/asterisk/voicemail/a/b"]
)
def test_no_page_of_the_frameworks_is_ever_answered(
    asterisk: Asterisk, settings: Any, path: str, debug: bool
) -> None:
    settings.DEBUG = debug

    for host in ("elsewhere.example.com", "127.0.0.1"):
        assert Client().post(path, headers={"host": host}).content == b""
        assert Client().get(path, headers={"host": host}).content == b""


def test_multi_lists_a_context_in_the_order_of_numbers(
    asterisk: Asterisk, box: Voicemailbox, organization: Organization
) -> None:
    make_voicemailbox(organization, mailbox=200)
    make_voicemailbox(make_organization(organization.account), mailbox=300)

    found = asterisk.multi(context=ACME)

    assert [record["mailbox"] for record in found] == ["200", "1001"]


def test_multi_without_a_context_lists_nothing(asterisk: Asterisk, box: Voicemailbox) -> None:
    assert asterisk.multi(mailbox_LIKE="%") == []


@pytest.mark.parametrize(("pattern", "count"), [("%", 2), ("1%", 1), ("2__", 1), ("3%", 0)])
def test_multi_may_ask_for_like_numbers(
    asterisk: Asterisk, box: Voicemailbox, organization: Organization, pattern: str, count: int
) -> None:
    make_voicemailbox(organization, mailbox=200)

    assert len(asterisk.multi(mailbox_LIKE=pattern, context=ACME)) == count


def test_multi_lists_nothing_of_what_the_pbx_may_not_ask_for(
    box: Voicemailbox, other_organization: Organization
) -> None:
    pbx, credential = make_pbx("limited", organizations=[other_organization])

    assert Asterisk(pbx.name, credential).multi(context=ACME) == []


def test_a_pin_that_was_changed_by_phone_is_the_boxs(asterisk: Asterisk, box: Voicemailbox) -> None:
    assert asterisk.change_pin(ACME, "1001", "7654321") == "1"
    assert Voicemailbox.unscoped.get().password == "7654321"


def test_a_pin_changed_by_phone_is_a_change_like_any_other(
    asterisk: Asterisk, box: Voicemailbox
) -> None:
    asterisk.change_pin(ACME, "1001", "7654321")

    change = Change.unscoped.latest("id")
    assert (change.channel, change.account_id) == ("phone", box.account_id)
    assert "pbx1" in change.actor
    assert Voicemailbox.unscoped.get().modified > box.modified


@pytest.mark.parametrize(
    "query",
    [
        "context=acme.example.com&mailbox=1001",
        "mailbox=1001&context=acme.example.com",
        "&context=acme.example.commailbox=1001",
        "&context=acme%2Eexample%2Ecommailbox=1001",
    ],
)
def test_an_update_is_read_in_every_form(asterisk: Asterisk, box: Voicemailbox, query: str) -> None:
    assert asterisk.ask("update", "&password=4711", query).body == b"1"
    assert Voicemailbox.unscoped.get().password == "4711"


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("", "&password=4711"),
        ("&context=acme.example.commailbox=1002", "&password=4711"),
        ("&context=globex.example.commailbox=1001", "&password=4711"),
        ("&context=acme.example.commailbox=1001", ""),
        ("&context=acme.example.commailbox=1001", "&fullname=Eve"),
        ("&context=acme.example.commailbox=1001", "&password=4711&fullname=Eve"),
    ],
)
def test_an_update_of_anything_else_changes_nothing(
    asterisk: Asterisk, box: Voicemailbox, query: str, body: str
) -> None:
    before = Voicemailbox.unscoped.values().get()

    assert asterisk.ask("update", body, query).body == b"0"
    assert Voicemailbox.unscoped.values().get() == before


@pytest.mark.parametrize("pin", ["", "0", "000", "12345678", "12a4", "-", "42\n"])
def test_a_forbidden_pin_is_refused_and_told_to_the_accounts_admins(
    asterisk: Asterisk, box: Voicemailbox, alice: Any, charlie: Any, pin: str
) -> None:
    assert asterisk.change_pin(ACME, "1001", pin) == "0"
    assert Voicemailbox.unscoped.get().password == "0042"
    refused = RefusedPin.objects.visible_to(alice).get()
    assert (refused.voicemailbox_id, refused.pbx) == (box.pk, "pbx1")
    assert refused.reason == "Value must be 1 to 7 digits, not all of them zero."
    assert not RefusedPin.objects.visible_to(charlie).exists()


def test_the_strict_policy_holds_for_phones_too(
    asterisk: Asterisk, box: Voicemailbox, settings: Any
) -> None:
    settings.PIN_STRICT = True

    assert asterisk.change_pin(ACME, "1001", "123456") == "0"
    assert asterisk.change_pin(ACME, "1001", "482915") == "1"


@pytest.mark.parametrize(
    ("operation", "answer"),
    [("require", b"0"), ("store", b"0"), ("destroy", b"0"), ("static", b"")],
)
def test_the_other_operations_have_their_fixed_answers(
    asterisk: Asterisk, operation: str, answer: bytes
) -> None:
    assert asterisk.ask(operation, "uniqueid=uinteger3%3A11&password=char%3A10").body == answer


def check_pin(asterisk: Asterisk, pin: str, mailbox: str = "1001") -> str:
    body = f"mailbox={mailbox}&context={ACME}&old=9999&password={pin}"
    return asterisk.ask_as_script("pin-check", body)


def test_a_pin_is_checked_before_it_is_changed(asterisk: Asterisk, box: Voicemailbox) -> None:
    assert check_pin(asterisk, "4711") == "VALID"
    assert check_pin(asterisk, "000") == "Value must be 1 to 7 digits, not all of them zero."
    assert Voicemailbox.unscoped.get().password == "0042"
    assert not RefusedPin.unscoped.exists()


def test_a_pin_is_not_checked_for_an_unknown_box(asterisk: Asterisk, account: Account) -> None:
    assert check_pin(asterisk, "4711", "1002") == ""

"""PBXs in the admin: the credential is shown once, to staff alone."""

from __future__ import annotations

import re
from typing import Any

import pytest

from accounts.models import Organization, User
from tests.admin_pages import client_of
from tests.asterisk.pbx import Asterisk, make_pbx
from tests.factories import arranging, make_organization, make_voicemailbox
from voicemail.models import Pbx, SpoolOrder, SpoolTask
from voicemail.services import delete_voicemailbox, digest_of_credential
from voicemail.spool import confirm

LIST = "/admin/voicemail/pbx/"


def shown_credential(page: str) -> str:
    (credential,) = re.findall(r'id="credential"[^>]*value="([^"]+)"', page)
    return str(credential)


def test_a_new_pbx_gets_a_credential_that_opens_its_boxes(
    staff: User, organization: Organization
) -> None:
    make_voicemailbox(organization, mailbox=1001)
    answer = client_of(staff).post(f"{LIST}add/", {"name": "Edge1", "is_active": "on"})

    credential = shown_credential(answer.content.decode())
    assert "no-store" in answer["Cache-Control"]
    assert Pbx.unscoped.get().name == "edge1"
    assert Asterisk("edge1", credential).single(mailbox="1001") is not None


def test_its_files_are_shown_filled_in(staff: User) -> None:
    page = client_of(staff).post(f"{LIST}add/", {"name": "edge1", "is_active": "on"})

    text = page.content.decode()
    assert f"userpwd=edge1:{shown_credential(text)}" in text
    for path in ("extconfig.conf", "res_curl.conf", "modules.conf", "voicemail.conf"):
        assert f"/etc/asterisk/{path}" in text
    assert "us_pacific  = America/Los_Angeles|" in text


def test_the_credential_is_not_shown_again(staff: User) -> None:
    pbx, credential = make_pbx()
    client = client_of(staff)

    for page in (f"{LIST}{pbx.pk}/change/", f"{LIST}{pbx.pk}/credential/", LIST):
        text = client.get(page).content.decode()
        assert credential not in text
        assert pbx.credential_digest not in text


def test_asking_for_a_new_credential_changes_nothing_yet(staff: User) -> None:
    pbx, credential = make_pbx()
    client_of(staff).get(f"{LIST}{pbx.pk}/credential/")

    assert Pbx.unscoped.get().credential_digest == digest_of_credential(credential)


def test_a_new_credential_ends_the_old_one(staff: User, organization: Organization) -> None:
    make_voicemailbox(organization, mailbox=1001)
    pbx, old = make_pbx()
    answer = client_of(staff).post(f"{LIST}{pbx.pk}/credential/")

    new = shown_credential(answer.content.decode())
    assert Asterisk("pbx1", old).single(mailbox="1001") is None
    assert Asterisk("pbx1", new).single(mailbox="1001") is not None


def test_a_pbx_can_be_limited_to_organizations(
    staff: User, organization: Organization, other_organization: Organization
) -> None:
    make_voicemailbox(organization, mailbox=1001)
    pbx, credential = make_pbx()
    client_of(staff).post(
        f"{LIST}{pbx.pk}/change/",
        {
            "name": "pbx1",
            "is_active": "on",
            "is_limited": "on",
            "organizations": [other_organization.pk],
        },
    )

    assert Asterisk("pbx1", credential).single(mailbox="1001") is None


def test_a_taken_name_is_told_beside_its_field(staff: User) -> None:
    make_pbx("edge1")
    page = client_of(staff).post(f"{LIST}add/", {"name": "EDGE1", "is_active": "on"})

    assert "This name is already in use." in page.content.decode()
    assert Pbx.unscoped.count() == 1


@pytest.mark.parametrize("path", ["", "add/", "1/change/", "1/credential/"])
def test_an_accounts_admin_sees_no_pbx(alice: User, path: str) -> None:
    make_pbx()

    assert client_of(alice).post(f"{LIST}{path}", {"name": "x"}).status_code in (302, 403)
    assert Pbx.unscoped.count() == 1


def test_before_deleting_a_pbx_its_open_orders_are_counted_and_none_is_listed(
    staff: User, organization: Organization, settings: Any
) -> None:
    settings.SPOOL_ORDERS = True
    pbx, _ = make_pbx()
    for mailbox in (1001, 1002, 1003):
        with arranging():
            delete_voicemailbox(make_voicemailbox(organization, mailbox=mailbox))
    confirm(pbx, [SpoolOrder.unscoped.latest("id").pk])
    page = client_of(staff).get(f"{LIST}{pbx.pk}/delete/").content.decode()

    assert "<li>Orders still open: 2</li>" in page
    assert "1001" not in page
    client_of(staff).post(f"{LIST}{pbx.pk}/delete/", {"post": "yes"})
    assert not Pbx.unscoped.exists()
    assert not SpoolTask.unscoped.exists()


def test_a_pbx_that_gets_an_organization_in_the_admin_gets_what_it_missed(
    staff: User, organization: Organization, settings: Any
) -> None:
    settings.SPOOL_ORDERS = True
    pbx, _ = make_pbx(organizations=[make_organization(organization.account)])
    with arranging():
        delete_voicemailbox(make_voicemailbox(organization))
    assert not SpoolTask.unscoped.exists()

    values = {"name": "pbx1", "is_active": "on", "is_limited": "on"}
    page = client_of(staff).post(
        f"{LIST}{pbx.pk}/change/", values | {"organizations": [organization.pk]}
    )
    assert page.status_code == 302
    assert SpoolTask.unscoped.get().pbx == pbx

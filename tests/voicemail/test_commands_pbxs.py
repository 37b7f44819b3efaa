"""manage.py pbxs: who may ask for boxes, and what the PBXs have to do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Organization
from tests.asterisk.pbx import make_pbx
from tests.commands import records, refused, run
from tests.factories import arranging, make_voicemailbox
from voicemail.models import Pbx, SpoolOrder, SpoolTask
from voicemail.services import delete_voicemailbox, digest_of_credential
from voicemail.spool import confirm

pytestmark = pytest.mark.django_db

NOT_ASKED = "Add --yes: there is no terminal to ask on."


def credential_of(printed: str) -> str:
    _, _, credential = printed.partition("Credential: ")
    return credential.strip()


def order_removal(organization: Organization, mailbox: int = 7011) -> SpoolOrder:
    box = make_voicemailbox(organization, mailbox=mailbox)
    with arranging():
        delete_voicemailbox(box)
    return SpoolOrder.unscoped.latest("id")


def test_a_pbx_is_added_and_its_credential_told_once(organization: Organization) -> None:
    printed = run("pbxs", "add", "edge1", "--limit-to", "acme.example.com")
    pbx = Pbx.unscoped.get()
    assert printed.out.startswith(f"PBX {pbx.pk} (edge1) was added.\nCredential: ")
    assert digest_of_credential(credential_of(printed.out)) == pbx.credential_digest
    assert pbx.is_limited
    assert list(pbx.organizations.all()) == [organization]
    assert records("pbxs", "show", "edge1") == [
        {
            "id": pbx.pk,
            "name": "edge1",
            "enabled": True,
            "limited": True,
            "organizations": "acme.example.com",
            "created": pbx.created.isoformat(timespec="seconds"),
            "last_seen": None,
        }
    ]


def test_a_program_gets_the_credential_of_a_new_pbx() -> None:
    (added,) = records("pbxs", "add", "edge1")
    pbx = Pbx.unscoped.get()
    assert added["outcome"] == "added"
    assert digest_of_credential(added["credential"]) == pbx.credential_digest
    assert not pbx.is_limited


def test_a_dry_run_adds_no_pbx_and_tells_no_credential() -> None:
    assert run("pbxs", "add", "edge1", "--dry-run").out == "PBX edge1 would be added.\n"
    assert not Pbx.unscoped.exists()


def test_a_taken_name_and_an_unknown_organization_are_refused() -> None:
    make_pbx("edge1")
    assert refused("pbxs", "add", "EDGE1") == "This name is already in use."
    assert refused("pbxs", "add", "edge2", "--limit-to", "x.example.com") == (
        "There is no organization x.example.com. Accepted: id or domain."
    )
    assert Pbx.unscoped.count() == 1


def test_the_list_never_tells_a_credential() -> None:
    pbx, credential = make_pbx("edge1")
    for form in ("table", "json", "csv"):
        out = run("pbxs", "list", "--format", form).out
        assert "edge1" in out
        assert credential not in out
        assert pbx.credential_digest not in out


def test_the_list_takes_two_statements(
    organization: Organization, django_assert_num_queries: Any
) -> None:
    for number in range(5):
        make_pbx(f"edge{number}", organizations=[organization])
    with django_assert_num_queries(2):
        run("pbxs", "list")


def test_a_pbx_is_renamed_limited_and_freed(organization: Organization) -> None:
    pbx, _ = make_pbx("edge1")
    run("pbxs", "edit", "edge1", "--name", "edge2", "--limit-to", organization.pk)
    pbx.refresh_from_db()
    assert (pbx.name, pbx.is_limited) == ("edge2", True)
    assert list(pbx.organizations.all()) == [organization]
    words = ("pbxs", "edit", pbx.pk, "--unlimited")
    assert run(*words).out == f"PBX {pbx.pk} (edge2) was changed.\n"
    pbx.refresh_from_db()
    assert not pbx.is_limited
    assert run(*words).out == f"PBX {pbx.pk} (edge2) was left unchanged.\n"


def test_a_dry_run_edits_nothing(organization: Organization) -> None:
    pbx, _ = make_pbx("edge1")
    run("pbxs", "edit", "edge1", "--limit-to", organization.pk, "--dry-run")
    pbx.refresh_from_db()
    assert not pbx.is_limited
    assert not pbx.organizations.exists()


def test_an_edit_without_a_value_is_refused() -> None:
    make_pbx("edge1")
    assert refused("pbxs", "edit", "edge1").startswith("Name at least one option")


def test_an_organization_that_comes_to_a_pbx_brings_its_open_orders(
    organization: Organization, other_organization: Organization, settings: Any
) -> None:
    settings.SPOOL_ORDERS = True
    make_pbx("edge1", organizations=[other_organization])
    order = order_removal(organization)
    run("pbxs", "edit", "edge1", "--limit-to", organization.pk)
    assert [task.order for task in SpoolTask.unscoped.all()] == [order]


def test_pbxs_are_disabled_and_enabled() -> None:
    pbx, _ = make_pbx("edge1")
    assert run("pbxs", "disable", "edge1").out == f"PBX {pbx.pk} (edge1) was changed.\n"
    pbx.refresh_from_db()
    assert not pbx.is_active
    assert run("pbxs", "disable", "edge1").out == f"PBX {pbx.pk} (edge1) was left unchanged.\n"
    run("pbxs", "enable", pbx.pk)
    pbx.refresh_from_db()
    assert pbx.is_active


def test_a_new_credential_wants_a_yes_and_ends_the_old_one() -> None:
    pbx, former = make_pbx("edge1")
    assert refused("pbxs", "credential", "edge1") == (
        f"End the present credential of PBX edge1? {NOT_ASKED}"
    )
    run("pbxs", "credential", "edge1", "--dry-run")
    pbx.refresh_from_db()
    assert pbx.credential_digest == digest_of_credential(former)
    printed = run("pbxs", "credential", "edge1", "--yes").out
    pbx.refresh_from_db()
    assert pbx.credential_digest == digest_of_credential(credential_of(printed))


def test_a_pbx_is_deleted_after_a_yes_with_what_it_had_to_do(
    organization: Organization, settings: Any
) -> None:
    settings.SPOOL_ORDERS = True
    pbx, _ = make_pbx("edge1")
    order_removal(organization)
    assert refused("pbxs", "delete", "edge1") == (
        f"Delete PBX {pbx.pk} (edge1) with 1 spool orders that are still open? {NOT_ASKED}"
    )
    run("pbxs", "delete", "edge1", "--dry-run")
    assert Pbx.unscoped.exists()
    run("pbxs", "delete", "edge1", "--yes")
    assert not Pbx.unscoped.exists()
    assert not SpoolTask.unscoped.exists()


@pytest.mark.parametrize("name", ["edge2", "99"])
def test_an_unknown_pbx_is_refused_with_those_that_there_are(name: str) -> None:
    make_pbx("edge1")
    assert refused("pbxs", "show", name) == (
        f"There is no PBX {name}. Accepted: id or name; known: edge1."
    )


# Spool orders


@pytest.fixture
def orders(
    organization: Organization, other_organization: Organization, settings: Any
) -> list[SpoolOrder]:
    """Give an open order, a done one, and one of another account that two PBXs are to do."""
    settings.SPOOL_ORDERS = True
    edge1, _ = make_pbx("edge1")
    done = order_removal(organization, 7012)
    confirm(edge1, [done.pk])
    make_pbx("edge2", organizations=[other_organization])
    return [order_removal(organization), done, order_removal(other_organization)]


def numbers(*words: Any) -> list[int]:
    return [each["number"] for each in records("pbxs", "orders", *words)]


def test_open_orders_are_listed_with_whom_they_wait_for(orders: list[SpoolOrder]) -> None:
    mine, _, theirs = orders
    first, second = records("pbxs", "orders", "--all-accounts")
    assert first == {
        "number": mine.pk,
        "kind": "remove",
        "from": "7011@acme.example.com",
        "to": "",
        "account_id": mine.account_id,
        "organization_id": mine.organization_id,
        "created": mine.created.isoformat(timespec="seconds"),
        "state": "open",
        "waiting_for": "edge1",
    }
    assert (second["number"], second["waiting_for"]) == (theirs.pk, "edge1 edge2")


def test_all_orders_are_listed_on_request_and_by_scope(orders: list[SpoolOrder]) -> None:
    mine, done, theirs = orders
    assert numbers("--all-accounts", "--all") == sorted(each.pk for each in orders)
    assert numbers("--organization", "acme.example.com", "--all") == [done.pk, mine.pk]
    assert numbers("--account", theirs.account_id) == [theirs.pk]
    states = {each["state"] for each in records("pbxs", "orders", "--all-accounts", "--all")}
    assert states == {"open", "done"}


def test_a_withdrawn_order_is_told_so(orders: list[SpoolOrder]) -> None:
    mine, *_ = orders
    run("voicemailboxes", "restore", mine.voicemailbox_id)
    told = {each["number"]: each for each in records("pbxs", "orders", "--all-accounts", "--all")}
    assert told[mine.pk]["state"] == "withdrawn"


def test_the_list_of_orders_takes_two_statements(
    orders: list[SpoolOrder], organization: Organization, django_assert_num_queries: Any
) -> None:
    for number in range(5):
        order_removal(organization, 8000 + number)
    with django_assert_num_queries(2):
        run("pbxs", "orders", "--all-accounts")


def test_old_orders_are_purged_once_they_are_done(orders: list[SpoolOrder]) -> None:
    SpoolOrder.unscoped.update(created=timezone.now() - timedelta(days=500))
    words = ("pbxs", "purge-orders", "--older-than", "499")
    assert run(*words, "--dry-run").out == "1 spool order would be deleted.\n"
    assert SpoolOrder.unscoped.count() == 3
    assert run(*words).out == "1 spool order was deleted.\n"
    mine, _, theirs = orders
    assert set(SpoolOrder.unscoped.all()) == {mine, theirs}
    assert refused("pbxs", "purge-orders", "--batch", 0) == "--batch must be 1 to 10000."

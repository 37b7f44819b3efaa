"""manage.py organizations."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.models import Account, Change, Organization, User
from tests.commands import last_change, records, refused, run
from tests.factories import arranging, make_organization, make_voicemailbox
from voicemail.models import Voicemailbox


def listed(*words: Any) -> list[str]:
    return [each["domain"] for each in records("organizations", "list", *words)]


def test_an_organization_is_added_to_an_account(account: Account) -> None:
    words = ("organizations", "add", "New.example.com", "--account", account.pk)
    printed = run(*words, "--caller-id-name", "Acme", "--extended-dialing")
    organization = Organization.unscoped.get()
    assert printed.out == f"Organization {organization.pk} (new.example.com) was added.\n"
    assert (organization.account, organization.caller_id_name) == (account, "Acme")
    assert organization.extended_dialing
    assert last_change()[0] == "command"


def test_a_program_gets_the_record_of_a_new_one_as_show_gives_it(account: Account) -> None:
    (added,) = records("organizations", "add", "new.example.com", "--account", account.pk)
    assert added == {"outcome": "added", **records("organizations", "show", added["id"])[0]}
    assert added["account_id"] == account.pk


def test_a_new_one_needs_an_account(db: None) -> None:
    assert refused("organizations", "add", "new.example.com") == (
        "Error: the following arguments are required: --account"
    )


@pytest.mark.parametrize("is_dry", [False, True])
def test_a_domain_that_is_taken_is_refused(
    organization: Organization, other_account: Account, is_dry: bool
) -> None:
    words = ("organizations", "add", "ACME.example.com", "--account", other_account.pk)
    assert refused(*words, *(["--dry-run"] if is_dry else [])) == (
        "domain: This domain is already in use."
    )
    assert Organization.unscoped.get() == organization


def test_a_dry_run_adds_nothing(account: Account) -> None:
    words = ("organizations", "add", "new.example.com", "--account", account.pk, "--dry-run")
    assert run(*words).out == "Organization new.example.com would be added.\n"
    assert not Organization.unscoped.exists()


def test_the_list_of_an_account_has_its_own_organizations(
    organization: Organization, other_organization: Organization
) -> None:
    assert listed("--account", organization.account_id) == ["acme.example.com"]
    assert listed("--organization", "globex.example.com") == ["globex.example.com"]
    assert listed("--all-accounts") == ["acme.example.com", "globex.example.com"]


def test_a_list_can_be_narrowed(
    organization: Organization, other_organization: Organization
) -> None:
    run("organizations", "disable", organization.pk)
    assert listed("--all-accounts", "--status", "enabled") == ["globex.example.com"]
    assert listed("--all-accounts", "--search", "ACME") == ["acme.example.com"]


def test_a_list_of_all_takes_one_statement_and_of_a_scope_two(
    account: Account, django_assert_num_queries: Any
) -> None:
    for _ in range(12):
        make_organization(account)
    with django_assert_num_queries(1):
        run("organizations", "list", "--all-accounts")
    with django_assert_num_queries(2):
        run("organizations", "list", "--account", account.pk)


def test_an_organization_is_shown_by_domain_in_any_case(organization: Organization) -> None:
    lines = run("organizations", "show", "ACME.example.com").out.splitlines()
    assert "domain:               acme.example.com" in lines


def test_a_new_domain_goes_to_its_boxes(organization: Organization) -> None:
    box = make_voicemailbox(organization)
    words = ("organizations", "edit", "acme.example.com", "--domain", "acme.example.net")
    printed = run(*words)
    assert printed.out == f"Organization {organization.pk} (acme.example.net) was changed.\n"
    assert Voicemailbox.unscoped.get(pk=box.pk).organization.domain == "acme.example.net"


def test_organizations_are_disabled_and_enabled(
    organization: Organization, other_organization: Organization
) -> None:
    done = records("organizations", "disable", organization.domain, other_organization.pk)
    assert [(each["domain"], each["status"]) for each in done] == [
        ("acme.example.com", "disabled"),
        ("globex.example.com", "disabled"),
    ]
    assert records("organizations", "enable", organization.pk)[0]["outcome"] == "changed"
    assert records("organizations", "enable", organization.pk)[0]["outcome"] == "unchanged"


def test_an_empty_organization_is_deleted(organization: Organization) -> None:
    printed = run("organizations", "delete", organization.domain, "--yes")
    assert printed.out == f"Organization {organization.pk} (acme.example.com) was deleted.\n"
    assert not Organization.unscoped.exists()


def test_an_organization_with_a_users_address_is_not_deleted(
    organization: Organization, bob: User
) -> None:
    with arranging():
        bob.organization, bob.username = organization, "bob"
        bob.save()
    before = Change.unscoped.count()
    assert refused("organizations", "delete", organization.pk, "--yes") == (
        "This organization still has voicemailboxes or users' addresses. Delete them first."
    )
    assert Organization.unscoped.get() == organization
    assert Change.unscoped.count() == before


def test_the_question_names_what_is_deleted(
    organization: Organization, other_organization: Organization
) -> None:
    message = refused("organizations", "delete", organization.pk, other_organization.pk)
    assert message.startswith(
        f"Delete organizations {organization.pk} (acme.example.com), "
        f"{other_organization.pk} (globex.example.com)? Add --yes"
    )


@pytest.mark.parametrize("verb", ["show", "enable", "delete"])
def test_an_organization_outside_the_scope_is_reported_missing(
    organization: Organization, other_organization: Organization, verb: str
) -> None:
    words = ("organizations", verb, other_organization.domain)
    assert refused(*words, "--account", organization.account_id) == (
        f"There is no organization globex.example.com in account {organization.account_id} (Acme). "
        "Accepted: id or domain."
    )

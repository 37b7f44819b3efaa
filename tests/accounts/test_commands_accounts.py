"""manage.py accounts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from accounts.models import Account, Change, Organization, Session, User
from tests.api import ApiClient
from tests.commands import last_change, records, refused, run
from tests.factories import make_account, make_organization, make_voicemailbox


def listed(*words: Any) -> list[str]:
    return [each["contact_organization"] for each in records("accounts", "list", *words)]


def test_an_account_is_added(db: None) -> None:
    words = ("accounts", "add", "--contact-organization", "Acme", "--credit-limit", "20.5")
    printed = run(*words, "--recharge", "--status", "disabled")
    account = Account.unscoped.get()
    assert printed.out == f"Account {account.pk} (Acme) was added.\n"
    assert (account.credit_limit, account.recharge) == (Decimal("20.50"), True)
    assert account.status == "disabled"
    assert last_change()[0] == "command"


def test_a_program_gets_the_record_of_a_new_account_as_show_gives_it(db: None) -> None:
    (added,) = records("accounts", "add", "--contact-organization", "Acme", "--balance", "3")
    (shown,) = records("accounts", "show", added["id"])
    assert added == {"outcome": "added", **shown}
    assert shown["balance"] == "3.00"


def test_a_new_account_of_a_dry_run_has_no_id_and_is_not_there(db: None) -> None:
    words = ("accounts", "add", "--contact-organization", "Acme", "--dry-run")
    assert run(*words).out == "Account Acme would be added.\n"
    assert records(*words)[0]["id"] is None
    assert not Account.unscoped.exists()
    assert not Change.unscoped.exists()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--contact-email", "x", "contact_email: Value must be one e-mail address such as "),
        ("--balance", "x", "Error: argument --balance: “x” value must be a decimal number."),
        ("--balance", "1e99", "balance: Ensure that there are no more than"),
        ("--status", "x", "Error: argument --status: invalid choice: 'x' "),
        ("--contact-country-id", 2**31, "contact_country_id: Ensure this value is less than or "),
    ],
)
def test_a_wrong_value_is_refused_and_nothing_is_added(
    db: None, option: str, value: Any, message: str
) -> None:
    assert refused("accounts", "add", option, value).startswith(message)
    assert not Account.unscoped.exists()


def test_accounts_are_listed_with_every_field(account: Account, other_account: Account) -> None:
    first, second = records("accounts", "list", "--all-accounts")
    assert (first["id"], second["contact_organization"]) == (account.pk, "Globex")
    assert first == records("accounts", "show", account.pk)[0]


def test_a_list_can_be_narrowed(organization: Organization, other_account: Account) -> None:
    run("accounts", "disable", other_account.pk)
    assert listed("--account", organization.domain) == ["Acme"]
    assert listed("--all-accounts", "--status", "disabled") == ["Globex"]
    assert listed("--all-accounts", "--search", "GLOB") == ["Globex"]
    assert listed("--all-accounts", "--search", "acme.ex") == ["Acme"]


def test_an_account_with_several_fitting_domains_is_listed_once(account: Account) -> None:
    make_organization(account)
    make_organization(account)
    assert listed("--all-accounts", "--search", "example.com") == ["Acme"]


def test_a_list_takes_one_statement_however_long_it_is(
    db: None, django_assert_num_queries: Any
) -> None:
    for _ in range(12):
        make_account()
    with django_assert_num_queries(1):
        run("accounts", "list", "--all-accounts", "--search", "acme")


def test_an_account_is_shown_a_field_a_line(account: Account) -> None:
    lines = run("accounts", "show", account.pk).out.splitlines()
    assert "contact organization: Acme" in lines
    assert "recharge:             no" in lines


def test_an_edit_changes_what_is_named_alone(account: Account) -> None:
    words = ("accounts", "edit", account.pk, "--contact-phone", "555-0100")
    assert run(*words).out == f"Account {account.pk} (Acme) was changed.\n"
    (told,) = records("accounts", "show", account.pk)
    assert (told["contact_phone"], told["contact_organization"]) == ("555-0100", "Acme")
    assert records(*words)[0]["outcome"] == "unchanged"


def test_an_edit_can_empty_a_field(account: Account) -> None:
    run("accounts", "edit", account.pk, "--contact-country", "", "--no-recharge")
    account.refresh_from_db()
    assert account.contact_country == ""


def test_an_edit_of_nothing_is_refused(account: Account) -> None:
    assert refused("accounts", "edit", account.pk) == (
        "Name at least one option with what is to change; --help has them."
    )


def test_accounts_are_disabled_and_enabled_together(
    account: Account, other_account: Account
) -> None:
    names = (account.pk, other_account.pk, account.pk)
    done = records("accounts", "disable", *names)
    assert [(each["outcome"], each["status"]) for each in done] == [("changed", "disabled")] * 2
    assert Change.unscoped.latest("id").account is None
    run("accounts", "enable", account.pk)
    assert Account.unscoped.get(pk=account.pk).status == "enabled"


def test_the_sessions_of_a_disabled_account_are_refused(
    as_alice: ApiClient, account: Account
) -> None:
    run("accounts", "disable", account.pk)
    reply = as_alice.call("AccountRead", AccountId=str(account.pk))
    assert not reply.is_completed


def test_an_account_is_deleted_with_what_hangs_on_it(
    as_alice: ApiClient, organization: Organization, other_account: Account
) -> None:
    printed = run("accounts", "delete", organization.domain, "--yes")
    assert printed.out == f"Account {organization.account_id} (Acme) was deleted.\n"
    assert Account.unscoped.get() == other_account
    assert not any(model._base_manager.exists() for model in (Organization, User, Session))


def test_an_account_with_a_box_is_not_deleted(organization: Organization) -> None:
    make_voicemailbox(organization)
    assert refused("accounts", "delete", organization.account_id, "--yes") == (
        "This account still has voicemailboxes. Delete them first."
    )
    assert Account.unscoped.exists()


def test_a_dry_run_of_a_deletion_asks_nothing_and_deletes_nothing(account: Account) -> None:
    printed = run("accounts", "delete", account.pk, "--dry-run")
    assert printed.out == f"Account {account.pk} (Acme) would be deleted.\n"
    assert Account.unscoped.get() == account


@pytest.mark.parametrize("verb", ["show", "disable", "delete"])
def test_an_account_outside_the_scope_is_reported_missing(
    account: Account, other_account: Account, verb: str
) -> None:
    words = ("accounts", verb, other_account.pk, "--account", account.pk)
    assert refused(*words) == (
        f"There is no account {other_account.pk} in account {account.pk} (Acme). "
        "Accepted: id, or a domain of the account."
    )

"""manage.py users."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Account, Change, Organization, Role, Session, User
from tests.accounts.test_lockout import fail
from tests.api import ApiClient
from tests.commands import Terminal, last_change, records, refused, run
from tests.factories import PASSWORD, arranging, make_user

NEW = "a whole new secret"


def listed(*words: Any) -> list[str]:
    return [each["auth_username"] for each in records("users", "list", *words)]


def stdin(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", StringIO(text))


def reasons() -> set[str | None]:
    """Tell what the history has said of users beside their columns."""
    return set(User.history.values_list("history_change_reason", flat=True)) - {None}


@pytest.fixture
def addressed(bob: User, organization: Organization) -> User:
    """Give bob, who is bob@acme.example.com as well."""
    with arranging():
        bob.organization, bob.username = organization, "bob"
        bob.save()
    return bob


# Adding


def test_a_user_is_added_without_a_password_and_a_note_says_how_to_set_one(
    account: Account,
) -> None:
    printed = run("users", "add", "Joe", "--role", "account_admin", "--account", account.pk)
    user = User.unscoped.get()
    assert printed.out == f"User {user.pk} (joe) was added.\n"
    assert printed.err == "Joe can't log in yet: manage.py users password Joe\n"
    assert (user.role, user.account) == ("account_admin", account)
    assert not user.has_usable_password()
    assert last_change()[0] == "command"


def test_an_empty_account_is_no_account(organization: Organization) -> None:
    words = ("users", "add", "joe", "--address", f"joe@{organization.domain}", "--account", "")
    assert refused(*words).startswith("There is no account . Accepted: ")
    assert not User.unscoped.filter(auth_username="joe").exists()


def test_an_address_tells_the_account(organization: Organization) -> None:
    (told,) = records("users", "add", "joe", "--address", "Joe.S@acme.example.com")
    assert (told["address"], told["role"]) == ("Joe.S@acme.example.com", "user")
    assert told["account_id"] == organization.account_id
    assert {"outcome": "added", **records("users", "show", "joe")[0]} == told


def test_staff_have_no_account(db: None) -> None:
    assert records("users", "add", "ann", "--role", "system_admin")[0]["account_id"] is None


def test_a_password_is_read_from_standard_input(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin(monkeypatch, f"{NEW}\r\nwhat follows\n")
    printed = run("users", "add", "joe", "--account", account.pk, "--password-stdin")
    assert User.unscoped.get().check_password(NEW)
    assert NEW not in printed.out + printed.err


@pytest.mark.parametrize(
    ("password", "message"),
    [
        ("", "This field is required."),
        ("joe-joe-joe", "The password is too similar to the authentication name."),
        ("x" * 1025, "Use at most 1024 characters."),
        ("12345678", "This password is too common. This password is entirely numeric."),
    ],
)
def test_a_bad_password_is_refused_and_nobody_is_added(
    account: Account, monkeypatch: pytest.MonkeyPatch, password: str, message: str
) -> None:
    stdin(monkeypatch, f"{password}\n")
    words = ("users", "add", "joe-joe-joe", "--account", account.pk, "--password-stdin")
    assert refused(*words) == message
    assert not User.unscoped.exists()


def test_a_user_is_added_with_a_link_that_opens(account: Account) -> None:
    printed = run("users", "add", "joe", "--account", account.pk, "--link")
    sentence, link = printed.out.splitlines()
    assert sentence == f"User {User.unscoped.get().pk} (joe) was added."
    assert printed.err == ""
    assert opens(link)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bob"], "auth_username: This authentication name is already in use."),
        (["a b"], "auth_username: Value must be 1 to 64 letters, digits, dots, underscores"),
        (["joe", "--address", "joe"], "Value must be a SIP user address such as joe@example.com"),
        (["joe", "--address", "joe@nowhere.example.com"], "There is no organization nowhere"),
        (["joe", "--address", "joe@globex.example.com"], "organization: This organization is not"),
        (["joe", "--role", "system_admin"], "Provider staff have no account; everybody else has"),
        (["joe", "--role", "boss"], "Error: argument --role: invalid choice: 'boss'"),
    ],
)
def test_a_user_who_can_not_be_is_refused_and_nobody_is_added(
    account: Account,
    bob: User,
    other_organization: Organization,
    words: list[str],
    message: str,
) -> None:
    assert refused("users", "add", *words, "--account", account.pk).startswith(message)
    assert User.unscoped.get() == bob


def test_a_dry_run_adds_nobody_and_gives_no_link(account: Account) -> None:
    words = ("users", "add", "joe", "--account", account.pk, "--link", "--dry-run")
    assert run(*words).out == "User joe would be added.\n"
    assert run(*words[:-2], "--dry-run").err == ""
    assert records(*words)[0]["link"] == ""
    assert not User.unscoped.exists()


# Listing and showing


def test_users_are_listed_within_the_scope(
    alice: User, addressed: User, charlie: User, staff: User
) -> None:
    assert listed("--all-accounts") == ["alice", "bob", "charlie", "staff"]
    assert listed("--account", alice.account_id) == ["alice", "bob"]
    assert listed("--organization", "acme.example.com") == ["bob"]


def test_the_table_has_what_a_person_looks_for(addressed: User) -> None:
    with arranging():
        addressed.last_login = timezone.now().replace(2026, 1, 2, 3, 4)
        addressed.save()
    heading, line = run("users", "list", "--all-accounts").out.splitlines()
    assert heading.split("  ")[0] == "ID"
    assert " ".join(line.split()) == (
        f"{addressed.pk} bob user bob@acme.example.com enabled no 2026-01-02 03:04"
    )


def test_no_list_has_a_password_or_its_hash(bob: User) -> None:
    told = records("users", "list", "--all-accounts")[0] | records("users", "show", "bob")[0]
    assert "password" not in told
    assert bob.password not in json.dumps(told)


def test_a_list_can_be_narrowed(alice: User, addressed: User, charlie: User) -> None:
    run("users", "disable", "bob")
    assert listed("--all-accounts", "--status", "disabled") == ["bob"]
    assert listed("--all-accounts", "--status", "enabled") == ["alice", "charlie"]
    assert listed("--all-accounts", "--role", "account_admin") == ["alice", "charlie"]
    assert listed("--all-accounts", "--search", "ACME") == ["bob"]


def test_those_who_are_locked_can_be_listed(alice: User, bob: User, api: ApiClient) -> None:
    fail(api, 5, "bob")
    fail(api, 1, "alice")
    assert listed("--all-accounts", "--locked") == ["bob"]
    told = {
        each["auth_username"]: each["locked"] for each in records("users", "list", "--all-accounts")
    }
    assert told == {"alice": False, "bob": True}
    assert records("users", "show", "bob")[0]["locked"] is True


def test_a_list_takes_one_statement_however_long_it_is(
    organization: Organization, django_assert_num_queries: Any
) -> None:
    for number in range(12):
        make_user(
            f"joe{number}",
            Role.USER,
            organization.account,
            organization=organization,
            username=f"joe{number}",
        )
    with django_assert_num_queries(1):
        assert len(run("users", "list", "--all-accounts").out.splitlines()) == 13


@pytest.mark.parametrize("name", ["bob", "BOB", "bob@acme.example.com", "Bob@ACME.example.com"])
def test_a_user_is_found_by_each_name(addressed: User, name: str) -> None:
    assert records("users", "show", name)[0]["id"] == addressed.pk


def test_digits_alone_are_an_id(account: Account, bob: User) -> None:
    make_user(str(bob.pk), Role.USER, account)
    assert records("users", "show", bob.pk)[0]["auth_username"] == "bob"


# Changing


def test_a_user_gets_another_name_and_address_and_e_mail(
    bob: User, organization: Organization
) -> None:
    words = ("--auth-username", "rob", "--email", "rob@example.com")
    (told,) = records("users", "edit", "bob", *words, "--address", "rob@acme.example.com")
    assert (told["outcome"], told["auth_username"], told["email"], told["address"]) == (
        *("changed", "rob", "rob@example.com", "rob@acme.example.com"),
    )


def test_an_address_is_taken_away(addressed: User) -> None:
    assert run("users", "edit", "bob", "--address", "").out == (
        f"User {addressed.pk} (bob) was changed.\n"
    )
    assert records("users", "show", "bob")[0]["address"] == ""


def test_an_address_of_another_account_is_refused(
    bob: User, other_organization: Organization
) -> None:
    assert refused("users", "edit", "bob", "--address", "bob@globex.example.com") == (
        "organization: This organization is not recognized."
    )
    bob.refresh_from_db()
    assert bob.organization is None


def test_disabling_users_ends_their_sessions(as_bob: ApiClient, bob: User, alice: User) -> None:
    make_user("deputy", Role.ACCOUNT_ADMIN, alice.account)
    done = records("users", "disable", "bob", "alice")
    assert [(each["outcome"], each["status"]) for each in done] == [("changed", "disabled")] * 2
    assert not Session.unscoped.exists()
    assert records("users", "enable", "bob")[0]["status"] == "enabled"
    assert records("users", "enable", "bob")[0]["outcome"] == "unchanged"


@pytest.mark.parametrize(
    "words", [["disable", "alice"], ["role", "alice", "user"], ["delete", "alice", "--yes"]]
)
def test_an_account_keeps_its_last_admin(alice: User, words: list[str]) -> None:
    assert refused("users", *words) == "An account keeps its last admin."
    alice.refresh_from_db()
    assert (alice.is_active, alice.role) == (True, "account_admin")


def test_a_locked_user_is_unlocked_and_the_history_tells(api: ApiClient, bob: User) -> None:
    fail(api, 6, "bob")
    assert run("users", "unlock", "bob", "--dry-run").out == (
        f"User {bob.pk} (bob) would be changed.\n"
    )
    assert records("users", "unlock", "bob", "--operator", "olga")[0]["outcome"] == "changed"
    assert api.call("SessionCreate", Username="bob", Password=PASSWORD).is_completed
    assert (reasons(), last_change()) == ({"Unlocked"}, ("command", "olga"))
    assert records("users", "unlock", "bob")[0]["outcome"] == "unchanged"


def test_another_role_ends_the_sessions(as_bob: ApiClient, bob: User) -> None:
    (told,) = records("users", "role", "bob", "account_admin")
    assert (told["outcome"], told["role"]) == ("changed", "account_admin")
    assert not Session.unscoped.exists()
    assert records("users", "role", "bob", "account_admin")[0]["outcome"] == "unchanged"


def test_nobody_of_an_account_becomes_staff(bob: User) -> None:
    assert refused("users", "role", "bob", "system_admin") == (
        "Provider staff have no account; everybody else has one."
    )
    bob.refresh_from_db()
    assert bob.role == "user"


def test_a_user_is_deleted_with_the_sessions(as_bob: ApiClient, bob: User) -> None:
    assert refused("users", "delete", "bob").startswith(f"Delete user {bob.pk} (bob)? Add --yes")
    assert run("users", "delete", "bob", "--yes").out == f"User {bob.pk} (bob) was deleted.\n"
    assert not User.unscoped.exists()
    assert not Session.unscoped.exists()


@pytest.mark.parametrize(
    "words",
    [["show"], ["edit", "--email", "x@example.com"], ["disable"], ["unlock"], ["delete"]],
)
def test_a_user_outside_the_scope_is_reported_missing(
    bob: User, charlie: User, words: list[str]
) -> None:
    verb, *options = words
    before = Change.unscoped.count()
    assert refused("users", verb, "charlie", *options, "--account", bob.account_id) == (
        f"There is no user charlie in account {bob.account_id} (Acme). Accepted: id, "
        "authentication name, or address such as joe@example.com."
    )
    assert Change.unscoped.count() == before


# Passwords


def opens(link: str) -> bool:
    """Follow a link as its user does, and tell whether a password can be set there."""
    path = link.removeprefix("http://127.0.0.1:8000")
    response = Client().get(path, follow=True)
    return b"New password again" in response.content


def asked(monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
    """Sit somebody at the terminal who gives these answers."""
    remaining = list(answers)
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda _: remaining.pop(0))


def test_a_password_is_asked_for_twice(
    as_bob: ApiClient, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(monkeypatch, NEW, NEW)
    assert run("users", "password", "bob").out == f"User {bob.pk} (bob) was changed.\n"
    bob.refresh_from_db()
    assert bob.check_password(NEW)
    assert not Session.unscoped.exists()
    assert reasons() == {"Password changed"}
    assert last_change()[0] == "command"


def test_two_different_answers_change_nothing(bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(monkeypatch, NEW, f"{NEW}!")
    assert refused("users", "password", "bob") == ("The two passwords differ; nothing was changed.")
    bob.refresh_from_db()
    assert bob.check_password(PASSWORD)


def test_nobody_is_asked_for_a_password_of_somebody_who_is_not_there(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(monkeypatch)
    assert refused("users", "password", "joe").startswith("There is no user joe.")


def test_without_a_terminal_the_other_ways_are_named(
    bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin(monkeypatch, f"{NEW}\n")
    assert refused("users", "password", "bob") == (
        "There is no terminal to ask on: use --password-stdin or --link."
    )
    bob.refresh_from_db()
    assert bob.check_password(PASSWORD)


@pytest.mark.parametrize(("is_dry", "expected"), [(False, NEW), (True, PASSWORD)])
def test_a_password_is_changed_from_standard_input(
    bob: User, monkeypatch: pytest.MonkeyPatch, is_dry: bool, expected: str
) -> None:
    stdin(monkeypatch, NEW)
    run("users", "password", "bob", "--password-stdin", *(["--dry-run"] if is_dry else []))
    bob.refresh_from_db()
    assert bob.check_password(expected)


def test_a_bad_password_is_refused_with_the_reason(
    bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin(monkeypatch, "short\n")
    assert refused("users", "password", "bob", "--password-stdin") == (
        "This password is too short. It must contain at least 8 characters."
    )
    bob.refresh_from_db()
    assert bob.check_password(PASSWORD)


def test_a_link_is_printed_and_recorded_and_the_present_password_stays(bob: User) -> None:
    (told,) = records("users", "password", "bob", "--link")
    assert opens(told["link"])
    bob.refresh_from_db()
    assert bob.check_password(PASSWORD)
    assert reasons() == {"Password link made"}


def test_a_dry_run_leaves_the_former_link_open(bob: User) -> None:
    link = records("users", "password", "bob", "--link")[0]["link"]
    assert run("users", "password", "bob", "--link", "--dry-run").out == (
        f"User {bob.pk} (bob) would be changed.\n"
    )
    assert opens(link)


def test_a_disabled_user_gets_no_link(bob: User) -> None:
    run("users", "disable", "bob")
    assert refused("users", "password", "bob", "--link") == (
        "This user is disabled. Enable the user first."
    )


@pytest.mark.parametrize("words", [["add", "joe"], ["password", "bob"]])
def test_no_password_is_taken_as_an_argument(bob: User, words: list[str]) -> None:
    assert refused("users", *words, "--password", NEW).startswith("Error: unrecognized arguments")
    bob.refresh_from_db()
    assert bob.check_password(PASSWORD)

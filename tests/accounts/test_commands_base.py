"""What all commands have in common (docs/commands.md, For all commands)."""

from __future__ import annotations

import argparse
import csv
import errno
import json
import os
import re
import shlex
from collections.abc import Iterator
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command, get_commands, load_command_class
from django.core.management.base import CommandError
from django.db import IntegrityError, OperationalError

from accounts import services
from accounts.history import operator_name
from accounts.management import base
from accounts.management.base import NounCommand, OperatorCommand, SingleCommand, Verb
from accounts.models import Account, Change, Organization, Session, User
from tests.api import ApiClient
from tests.commands import Terminal, last_change, records, refused, run
from tests.factories import make_account, make_organization

PAGE = Path(settings.BASE_DIR) / "docs" / "commands.md"


def every_verb() -> Iterator[tuple[str, OperatorCommand, type[Verb]]]:
    """Give each command of the apps with each of its verbs."""
    for name, app in get_commands().items():
        command = load_command_class(app, name) if app in ("accounts", "voicemail") else None
        match command:
            case NounCommand():
                yield from ((name, command, verb) for verb in command.verbs)
            case SingleCommand():
                yield name, command, command.verb


EACH_VERB = pytest.mark.parametrize(
    ("name", "command", "verb"),
    [pytest.param(*each, id=each[2].example) for each in every_verb()],
)


# Help


@EACH_VERB
def test_the_example_of_a_verb_is_understood(
    name: str, command: OperatorCommand, verb: type[Verb]
) -> None:
    first, *words = shlex.split(re.split(r" [<|>]", verb.example)[0])
    parsed = command.create_parser("manage.py", name).parse_args(words)
    assert first == name
    assert parsed.verb is verb


@EACH_VERB
def test_a_verb_and_each_of_its_options_are_explained_in_sentences(
    name: str, command: OperatorCommand, verb: type[Verb]
) -> None:
    parser = argparse.ArgumentParser()
    verb.configure(parser)  # type: ignore[arg-type]  # Django's derives from it.
    told = [parser.description, *(action.help for action in parser._actions[1:])]
    assert [text for text in told if not str(text).rstrip(")").endswith(".")] == []


def test_help_begins_with_the_verbs_and_ends_with_examples(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        call_command("accounts", "--help")
    text = capsys.readouterr().out
    assert "Add, list, show, change and delete accounts, the provider's customers." in text
    assert "add          Add an account." in text
    assert "\n  manage.py accounts edit 3 --contact-phone 555-0100\n" in text


# The reference


def test_the_reference_follows_from_the_options() -> None:
    call_command("command_reference", check=True)


def test_a_stale_reference_is_reported_and_written(settings: Any, tmp_path: Path) -> None:
    settings.BASE_DIR = tmp_path
    (tmp_path / "docs").mkdir()
    assert refused("command_reference", "--check") == (
        "docs/commands.md is stale: run manage.py command_reference."
    )
    assert run("command_reference").out == "Wrote commands.md.\n"
    assert (tmp_path / "docs" / "commands.md").read_text() == PAGE.read_text()


# Tables


def test_in_a_pipe_a_table_has_every_value_whole(account: Account) -> None:
    make_account(contact_organization="W" * 120)
    lines = run("accounts", "list", "--all-accounts").out.splitlines()
    assert lines[0].split() == [
        *("ID", "STATUS", "CONTACT", "ORGANIZATION", "CONTACT", "NAME", "CONTACT", "EMAIL")
    ]
    assert "W" * 120 in lines[2]


def test_on_a_terminal_a_table_is_as_wide_as_the_terminal(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    make_account(contact_organization="W" * 120)
    lines = run("accounts", "list", "--all-accounts", on_terminal=True).out.splitlines()
    assert len(lines) == 3
    assert all(len(line) <= 60 for line in lines)
    assert "WW…" in lines[2]


def test_wide_letters_and_those_without_width_keep_the_columns_in_line(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    make_account(contact_organization="東京" * 20, contact_name="Kenji")
    make_account(contact_organization="e\u0301" * 10, contact_name="Zoe")
    lines = run("accounts", "list", "--all-accounts", on_terminal=True).out.splitlines()
    shown, _, _ = lines[1].partition("Kenji")
    assert len(shown) + shown.count("東") + shown.count("京") == lines[0].index("CONTACT NAME")
    assert len(lines[2].replace("\u0301", "").partition("Zoe")[0]) == lines[0].index("CONTACT NAME")


def test_a_table_of_nothing_says_so_beside_the_result(db: None) -> None:
    printed = run("accounts", "list", "--all-accounts")
    assert (printed.out, printed.err) == ("", "Nothing was found.\n")


def test_what_would_steer_a_terminal_is_shown_as_a_mark(bob: User) -> None:
    services.open_session(bob, now=bob.created, client_address=None, user_agent="\x1b[31mred\u202e")
    line = run("sessions", "list", "--all-accounts", "--state", "all").out.splitlines()[1]
    assert line.endswith("�[31mred�")


# JSON and CSV


def test_json_is_an_array_with_an_object_a_line(account: Account, other_account: Account) -> None:
    printed = run("accounts", "list", "--all-accounts", "--format", "json")
    first, *lines, last = printed.out.splitlines()
    assert (first, last, len(lines)) == ("[", "]", 2)
    assert [each["id"] for each in json.loads(printed.out)] == [account.pk, other_account.pk]
    assert printed.err == ""


def test_json_has_texts_for_amounts_and_utc_times_and_null(staff: User, account: Account) -> None:
    Account.unscoped.update(balance=Decimal("-12.50"))
    (told,) = records("accounts", "list", "--all-accounts")
    assert told["balance"] == "-12.50"
    assert told["recharge"] is False
    assert told["created"] == f"{account.created:%Y-%m-%dT%H:%M:%S}+00:00"
    assert records("users", "show", "staff")[0]["account_id"] is None


def test_json_of_nothing_is_an_empty_array(db: None) -> None:
    assert run("accounts", "list", "--all-accounts", "--format", "json").out == "[]\n"


def test_csv_has_the_names_of_json(account: Account) -> None:
    text = run("accounts", "list", "--all-accounts", "--format", "csv").out
    (row,) = csv.DictReader(StringIO(text))
    assert list(row) == list(records("accounts", "list", "--all-accounts")[0])
    assert (row["recharge"], row["balance"]) == ("false", "0.00")


def test_csv_of_nothing_is_the_line_of_names(db: None) -> None:
    text = run("accounts", "list", "--all-accounts", "--format", "csv").out
    assert text.splitlines()[0].startswith("id,status,balance,")
    assert len(text.splitlines()) == 1


def test_csv_keeps_a_spreadsheet_from_running_a_text_but_leaves_numbers(db: None) -> None:
    make_account(contact_organization="=1+1", contact_name="'Tis", balance=Decimal(-5))
    text = run("accounts", "list", "--all-accounts", "--format", "csv").out
    (row,) = csv.DictReader(StringIO(text))
    assert (row["contact_organization"], row["contact_name"]) == ("'=1+1", "''Tis")
    assert row["balance"] == "-5.00"


# Scope


def test_a_verb_about_many_objects_needs_a_scope(db: None) -> None:
    assert refused("users", "list") == (
        "Error: one of the arguments --account --organization --all-accounts is required"
    )


def test_two_scopes_are_not_understood(db: None) -> None:
    assert refused("users", "list", "--account", "1", "--all-accounts") == (
        "Error: argument --all-accounts: not allowed with argument --account"
    )


def test_an_account_is_found_by_any_of_its_domains_in_any_case(account: Account) -> None:
    make_organization(account, domain="one.example.com")
    make_organization(account, domain="two.example.com")
    assert records("accounts", "show", "TWO.example.com")[0]["id"] == account.pk


@pytest.mark.parametrize("name", ["99", "nowhere.example.com", "9" * 19, "9" * 5000, "-"])
def test_a_scope_that_is_not_there_is_refused(account: Account, name: str) -> None:
    assert refused("users", "list", f"--account={name}") == (
        f"There is no account {name}. Accepted: id, or a domain of the account."
    )


# Changes


def test_a_change_is_recorded_under_the_operators_name(account: Account) -> None:
    run("accounts", "disable", account.pk, "--operator", "olga")
    assert last_change() == ("command", "olga")
    assert Change.unscoped.latest("id").account == account


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({"SUDO_USER": "sue", "LOGNAME": "root"}, "sue"),
        ({"SUDO_USER": "", "LOGNAME": "lou"}, "lou"),
    ],
)
def test_without_a_name_it_is_the_one_of_the_login(
    account: Account, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], name: str
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    run("accounts", "disable", account.pk)
    assert last_change() == ("command", name)


def nameless() -> str:
    raise KeyError("getpwuid(): uid not found: 4242")


def test_a_user_without_a_name_is_told_by_number(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr("getpass.getuser", nameless)
    monkeypatch.setattr("os.getuid", lambda: 4242)
    run("accounts", "disable", account.pk)
    assert last_change() == ("command", "uid 4242")


@pytest.mark.parametrize("name", ["x" * 151, "a\nb"])
def test_a_name_that_the_history_can_not_hold_is_refused(account: Account, name: str) -> None:
    assert refused("accounts", "disable", account.pk, "--operator", name) == (
        "--operator must be 1 to 150 characters in one line."
    )
    account.refresh_from_db()
    assert account.status == "enabled"


def test_what_changes_nothing_is_done_and_leaves_no_entry(account: Account) -> None:
    before = Change.unscoped.count()
    printed = run("accounts", "enable", account.pk)
    assert printed.out == f"Account {account.pk} (Acme) was left unchanged.\n"
    assert Change.unscoped.count() == before


def test_a_dry_run_tells_what_would_be_and_leaves_all_as_it_is(account: Account) -> None:
    before = Change.unscoped.count()
    printed = run("accounts", "disable", account.pk, "--dry-run")
    assert printed.out == f"Account {account.pk} (Acme) would be changed.\n"
    account.refresh_from_db()
    assert account.status == "enabled"
    assert Change.unscoped.count() == before


def test_a_dry_run_is_refused_for_the_reason_of_the_change(organization: Organization) -> None:
    words = ("organizations", "edit", organization.pk, "--domain", "acme")
    assert refused(*words, "--dry-run") == refused(*words)


def test_a_dry_run_checks_what_the_database_would_check_at_the_end(
    as_bob: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "end_sessions", lambda rows: rows.update(user_id=10**9))
    with pytest.raises(IntegrityError):
        run("sessions", "end", "--user", "bob", "--dry-run")
    assert Session.unscoped.get().user.auth_username == "bob"


def test_every_error_is_told_with_its_field(organization: Organization) -> None:
    message = refused(
        *("organizations", "edit", organization.pk),
        *("--domain", "acme", "--contact-email", "nobody"),
    )
    assert message.splitlines() == [
        "contact_email: Value must be one e-mail address such as joe@example.com.",
        (
            "domain: Value must be a host name of at least two labels of letters, digits and inner "
            "hyphens, at most 79 characters long."
        ),
    ]


def test_of_several_objects_all_are_changed_or_none(
    account: Account, other_account: Account
) -> None:
    assert refused("accounts", "disable", account.pk, other_account.pk, "99") == (
        "There is no account 99. Accepted: id, or a domain of the account."
    )
    assert set(Account.unscoped.values_list("status", flat=True)) == {"enabled"}


# Asking


def test_without_a_terminal_nothing_is_destroyed_unless_told(other_account: Account) -> None:
    assert refused("accounts", "delete", other_account.pk) == (
        f"Delete account {other_account.pk} (Globex) with 0 organizations and 0 users? "
        "Add --yes: there is no terminal to ask on."
    )
    assert Account.unscoped.filter(pk=other_account.pk).exists()


@pytest.mark.parametrize("answer", ["y\n", "YES\n"])
def test_a_yes_at_the_terminal_is_enough(
    other_account: Account, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    printed = run("accounts", "delete", other_account.pk)
    assert printed.err.endswith("with 0 organizations and 0 users? [y/N] ")
    assert printed.out == f"Account {other_account.pk} (Globex) was deleted.\n"


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_any_other_answer_changes_nothing(
    other_account: Account, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    assert refused("accounts", "delete", other_account.pk) == "Nothing was changed."
    assert Account.unscoped.filter(pk=other_account.pk).exists()


# Ends that nobody wished for


def test_an_outage_of_the_database_is_one_line(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> Any:
        raise OperationalError("connection refused\n\tIs the server running?")

    monkeypatch.setattr(base, "find_account", fail)
    assert refused("users", "list", "--account", "1") == (
        "The database refused: connection refused. Look whether it runs, and whether manage.py "
        "migrate has been run."
    )


def test_an_interruption_within_the_transaction_changes_nothing(
    account: Account, other_account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(user: User, *, is_active: bool) -> None:
        services.edit_account(account)
        raise KeyboardInterrupt

    run("users", "add", "joe", "--account", account.pk)
    account.contact_name = "Joe"
    monkeypatch.setattr(services, "set_active", interrupt)
    err = StringIO()
    with pytest.raises(SystemExit) as caught:
        call_command("users", "disable", "joe", stderr=err)
    assert (caught.value.code, err.getvalue()) == (130, "Interrupted; nothing was changed.\n")
    account.refresh_from_db()
    assert account.contact_name == ""


def test_an_interruption_after_the_transaction_does_not_claim_that_nothing_was_changed(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: Any, done: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(base.ChangeVerb, "print_done", interrupt)
    err = StringIO()
    with pytest.raises(SystemExit) as caught:
        call_command("accounts", "disable", account.pk, stderr=err)
    assert caught.value.code == 130
    assert err.getvalue() == (
        "Interrupted at the end; look whether it was done before you repeat it.\n"
    )
    account.refresh_from_db()
    assert account.status == "disabled"


def test_a_list_that_is_interrupted_says_no_more_than_that(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(base, "find_account", interrupt)
    err = StringIO()
    with pytest.raises(SystemExit) as caught:
        call_command("users", "list", "--account", "1", stderr=err)
    assert (caught.value.code, err.getvalue()) == (130, "Interrupted.\n")


# Django's own commands


def test_changepassword_points_to_the_command_that_records_the_change(bob: User) -> None:
    assert refused("changepassword", "bob") == "Use manage.py users password bob"
    assert refused("changepassword") == "Use manage.py users password NAME"


def test_createsuperuser_makes_staff_and_is_recorded(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "correct horse battery")
    run("createsuperuser", "--no-input", "--auth_username", "root")
    user = User.unscoped.get()
    assert (user.role, user.check_password("correct horse battery")) == ("system_admin", True)
    assert last_change() == ("command", operator_name())


def test_createsuperuser_takes_no_password_that_is_easily_guessed(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "1")
    assert "too short" in refused("createsuperuser", "--no-input", "--auth_username", "root")
    assert not User.unscoped.exists()


@pytest.mark.parametrize("option", ["--account", "--organization"])
def test_an_empty_scope_is_not_every_account(account: Account, option: str) -> None:
    assert refused("users", "list", option, "").startswith("There is no ")


def test_an_argument_that_is_no_text_is_refused(account: Account) -> None:
    assert refused("accounts", "show", "\udcff") == "Arguments must be valid UTF-8."


class FullDisk(StringIO):
    """An output that takes nothing."""

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_result_that_cannot_be_written_is_told_with_what_became_of_the_change(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "_discard_output", lambda: None)
    words = ("accounts", "disable", str(account.pk))
    with pytest.raises(CommandError) as caught:
        call_command(*words, stdout=FullDisk(), stderr=StringIO())

    assert str(caught.value) == (
        "The result can't be written: No space left on device. The change was stored all the same."
    )
    account.refresh_from_db()
    assert account.status == "disabled"


def test_createsuperuser_asks(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("builtins.input", lambda _: "root")
    monkeypatch.setattr("getpass.getpass", lambda *_: "correct horse battery")
    run("createsuperuser")
    assert User.unscoped.get().check_password("correct horse battery")

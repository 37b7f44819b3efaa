"""manage.py demo: data to try the service with, of any size, and never among real accounts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db.models import F

from accounts.models import Account, Change, Organization, User
from tests.commands import last_change, refused, run
from tests.factories import make_organization
from voicemail import demonstration
from voicemail.models import Voicemailbox

IN_USE = "This database holds accounts of its own; no demonstration data was added."

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def facts(settings: Any, tmp_path: Path) -> Path:
    settings.VAR_DIR = tmp_path
    return tmp_path / "demo.json"


@pytest.fixture
def real(account: Account) -> Organization:
    """Give an organization that is not the demonstration's."""
    return make_organization(account, domain="customer.example.com")


def many() -> Any:
    return Voicemailbox.unscoped.filter(organization__domain__endswith=".example.net")


def test_the_small_set_and_its_logins_are_made_once(facts: Path) -> None:
    first = run("demo").out
    assert "Logins (also in var/demo.json):" in first
    assert facts.exists()
    assert (Account.unscoped.count(), Voicemailbox.unscoped.count()) == (2, 60)
    changes = Change.unscoped.count()
    assert run("demo").out == first
    assert Change.unscoped.count() == changes


def test_very_many_boxes_are_added_besides() -> None:
    printed = run("demo", "--mailboxes", 2500, "--organizations", 25, "--accounts", 4)
    assert printed.out.startswith("Added 2,500 mailboxes in 25 organizations of 4 accounts.\n")
    assert "Logins" in printed.out
    assert many().count() == 2500
    organizations = Organization.unscoped.filter(domain__endswith=".example.net")
    assert {each.voicemailboxes.count() for each in organizations} == {100}
    assert organizations.values("account").distinct().count() == 4


def test_a_size_without_organizations_is_spread_out() -> None:
    printed = run("demo", "--mailboxes", 1001)
    assert printed.out.startswith("Added 1,001 mailboxes in 2 organizations of 1 account.\n")


def test_every_box_of_the_many_keeps_the_rules() -> None:
    run("demo", "--mailboxes", 500, "--organizations", 3)
    printed = run("verify", "--all-accounts")
    assert (printed.out, printed.err) == ("", "Nothing was found.\n")
    assert many().filter(created=F("modified")).count() == 500
    assert len(set(many().values_list("password", flat=True))) > 400


def test_a_pin_that_is_the_boxs_own_number_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    pins = iter(["1001", "2580"] * demonstration._PINS)
    monkeypatch.setattr(demonstration, "generate_pin", lambda _: next(pins))
    run("demo", "--mailboxes", 1)
    assert many().get().password == "2580"


def test_the_history_tells_of_each_box_as_a_save_would() -> None:
    run("demo")
    run("demo", "--mailboxes", 30, "--operator", "anna")
    change = Change.unscoped.get(actor="anna")
    assert (change.channel, change.account_id) == ("command", None)
    names = [field.attname for field in Voicemailbox._meta.concrete_fields]
    rows = Voicemailbox.history.filter(change=change, history_type="+").order_by("id")
    assert list(rows.values_list(*names)) == list(many().order_by("id").values_list(*names))
    (told,) = (
        rows.order_by()
        .values_list("history_change_reason", "history_user_id", F("history_date") - F("created"))
        .distinct()
    )
    assert told[:2] == (None, None)
    assert not told[2]


def test_what_was_added_can_be_undone() -> None:
    run("demo", "--mailboxes", 30, "--operator", "anna")
    run("history", "undo", Change.unscoped.get(actor="anna").pk, "--yes")
    assert not many().exists()
    assert not Organization.unscoped.filter(domain__endswith=".example.net").exists()


def test_a_dry_run_adds_nothing_and_makes_no_logins(facts: Path) -> None:
    printed = run("demo", "--mailboxes", 10, "--dry-run")
    assert printed.out == "Would add 10 mailboxes in 1 organization of 1 account.\n"
    assert not Account.unscoped.exists()
    assert not facts.exists()


def test_the_many_are_added_once() -> None:
    run("demo", "--mailboxes", 10)
    assert refused("demo", "--mailboxes", 10) == (
        "This database has very many mailboxes of the demonstration already."
    )
    assert many().count() == 10


def test_the_small_set_is_still_offered_after_the_many() -> None:
    run("demo", "--mailboxes", 10)
    assert "Logins" in run("demo").out


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--mailboxes", "10"),
        ("--mailboxes", "10", "--into-real-data"),
        ("--mailboxes", "10", "--yes"),
        ("--into-real-data", "--yes"),
    ],
)
def test_real_accounts_get_nothing_unless_that_is_told_twice(
    real: Organization, words: tuple[str, ...]
) -> None:
    assert refused("demo", *words) == IN_USE
    printed = run("demo", "--skip-if-in-use", *words)
    assert (printed.out, printed.err) == ("", f"{IN_USE}\n")
    assert Account.unscoped.count() == 1


def test_real_accounts_get_the_many_and_no_logins_once_that_is_told_twice(
    real: Organization, facts: Path
) -> None:
    printed = run("demo", "--mailboxes", 10, "--into-real-data", "--yes")
    assert printed.out == "Added 10 mailboxes in 1 organization of 1 account.\n"
    assert many().count() == 10
    assert not User.unscoped.exists()
    assert not facts.exists()
    assert last_change()[0] == "command"


def test_domains_that_are_only_like_the_demonstrations_are_real(account: Account) -> None:
    make_organization(account, domain="company.example.net")
    assert demonstration.is_in_use()
    make_organization(account, domain="company7.example.net")
    assert not demonstration.is_in_use()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--organizations", "3"), "--organizations and --accounts need --mailboxes."),
        (("--mailboxes", "0"), "There must be at least 1 account, an organization for each"),
        (("--mailboxes", "-5"), "There must be at least 1 account, an organization for each"),
        (("--mailboxes", "2", "--organizations", "3"), "There must be at least 1 account"),
        (("--mailboxes", "9", "--organizations", "2", "--accounts", "3"), "There must be at"),
        (("--mailboxes", "10000000", "--organizations", "1"), "So few organizations have not"),
    ],
)
def test_a_senseless_size_is_refused(words: tuple[str, ...], message: str) -> None:
    assert refused("demo", *words).startswith(message)
    assert not Account.unscoped.exists()

"""The registered actions, and what it takes to add one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from shutil import copy
from typing import Any
from unittest.mock import patch

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from lxml import etree

from accounts.actions import WritingAction
from accounts.models import Organization, Role
from tests.api import ApiClient
from tests.factories import make_organization
from voicemail_site.webapi.action import Action
from voicemail_site.webapi.elements import Element, Member, Tree
from voicemail_site.webapi.grammar import generated_modules, module_files
from voicemail_site.webapi.management.commands.api_reference import ROLES
from voicemail_site.webapi.parameters import ActionParameters, Boolean, Choice, Integer, Text
from voicemail_site.webapi.records import Records, as_row
from voicemail_site.webapi.reference import reference
from voicemail_site.webapi.registry import RegistryError, actions, register

NOT_GRANTED = "Permission to perform the requested action has not been granted."


@pytest.fixture
def _own_registry() -> Iterator[None]:
    """Let a test register actions, and forget them again."""
    with patch("voicemail_site.webapi.registry._actions", dict(actions())):
        yield


# The registry.


@pytest.mark.usefixtures("_own_registry")
def test_a_second_action_of_a_name_is_refused() -> None:
    former = actions()["NoOp"]
    second = type("NoOp", (Action,), {"__doc__": "Do nothing, twice."})
    with pytest.raises(RegistryError, match=r"^There are two actions named NoOp\.$"):
        register(second)
    assert actions()["NoOp"] is former


@pytest.mark.usefixtures("_own_registry")
@pytest.mark.parametrize("base", [Action, WritingAction])
@pytest.mark.parametrize("docstring", [None, "", " \n ", Action.__doc__])
def test_an_action_without_a_docstring_of_its_own_is_refused(
    base: type[Action], docstring: str | None
) -> None:
    silent = type("Silent", (base,), {"__doc__": docstring})
    with pytest.raises(RegistryError, match=r"^Silent needs a docstring: "):
        register(silent)
    assert "Silent" not in actions()


def test_the_registry_can_only_be_read() -> None:
    with pytest.raises(TypeError):
        actions()["Other"] = Action  # type: ignore[index]  # Just that is refused.


# The reference.


def test_the_committed_reference_is_the_generated_one() -> None:
    call_command("api_reference", check=True)


@pytest.fixture
def elsewhere(tmp_path: Path, settings: Any) -> Path:
    """Give another directory for the documentation, and the page in it."""
    settings.BASE_DIR = tmp_path
    (tmp_path / "docs").mkdir()
    return tmp_path / "docs" / "api-reference.md"


def test_the_command_writes_what_its_check_accepts(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("api_reference")
    call_command("api_reference", check=True)
    assert capsys.readouterr().out == "Wrote api-reference.md.\n"


@pytest.mark.parametrize("text", [None, "stale"])
def test_the_check_refuses_a_page_that_is_missing_or_stale_and_leaves_it(
    elsewhere: Path, text: str | None
) -> None:
    if text is not None:
        elsewhere.write_text(text)
    with pytest.raises(CommandError, match=r"^docs/api-reference\.md is stale"):
        call_command("api_reference", check=True)
    assert (elsewhere.read_text() if elsewhere.exists() else None) == text


def section_of(name: str) -> list[str]:
    page = reference(actions(), ROLES)
    return page.split(f"\n## {name}\n")[1].split("\n## ")[0].strip().splitlines()


@pytest.mark.parametrize("name", sorted(actions()))
def test_the_reference_has_a_section_for_each_action_with_all_its_parameters(name: str) -> None:
    rows = [line.split("|")[0].strip(" `") for line in section_of(name) if line.startswith("`")]
    declared = actions()[name].Parameters.declared().values()
    assert rows == [field.wire_name for field in declared]


# Adding an action: one class, and the module of its grammar.

GREETING = Element("Greeting", Member("Domain", "domain"), Member("Text", "text"))

GREET_MODULE = """\
<grammar xmlns="http://relaxng.org/ns/structure/1.0" ns="http://www.jnctn.net/ns/rest/2006-01">
  <define name="Greet">
    <element name="Greet">
      <element name="Greeting">
        <element name="Domain"><text/></element>
        <element name="Text"><text/></element>
      </element>
    </element>
  </define>
</grammar>
"""


@pytest.fixture
def _greet(_own_registry: None) -> None:
    @register
    class Greet(Action):
        """Greet somebody of the caller's first organization."""

        requires = Role.ACCOUNT_ADMIN

        class Parameters(ActionParameters):
            whom = Text(max_length=10, help_text="Who is greeted.")
            times = Integer(default="1", minimum=1, maximum=3, help_text="How often.")
            tone = Choice(("warm", "cool"), default="cool", help_text="In which way.")
            is_loud = Boolean(default="false", help_text="Whether it is shouted.")

        def run(self, caller: Any, values: Mapping[str, Any]) -> Tree:
            organization = Organization.objects.visible_to(caller).earliest("id")
            text = " ".join([values["whom"]] * values["times"])
            text = text.upper() if values["is_loud"] else text
            return {"Greeting": Records(GREETING, [as_row([organization.domain, text])])}


with_greet = pytest.mark.usefixtures("_greet")


@with_greet
def test_an_added_action_is_answered(as_alice: ApiClient, organization: Organization) -> None:
    reply = as_alice.call("Greet", Whom="joe", Times="2", IsLoud="TRUE")
    assert reply.is_completed
    assert reply.tree["Response"]["Result"] == {
        "Greet": {"Greeting": {"Domain": "acme.example.com", "Text": "JOE JOE"}}
    }


@with_greet
def test_an_added_action_is_answered_in_json(
    as_alice: ApiClient, organization: Organization
) -> None:
    reply = as_alice.call("Greet", Whom="joe", Output="json")
    assert reply.content.endswith(
        b'"Result":{"Greet":{"Greeting":{"Domain":"acme.example.com","Text":"joe"}}}}}'
    )


@with_greet
def test_an_added_actions_defaults_are_echoed(
    as_alice: ApiClient, organization: Organization
) -> None:
    assert as_alice.call("Greet", Whom="joe").echo[2:] == [
        ("Whom", "joe"),
        ("Times", "1"),
        ("Tone", "cool"),
        ("IsLoud", "false"),
    ]


@with_greet
def test_an_added_actions_parameters_are_checked_all_at_once(
    as_alice: ApiClient, organization: Organization
) -> None:
    reply = as_alice.call("Greet", Times="4", Tone="loud", IsLoud="1")
    assert list(zip(reply.errors, reply.messages, strict=True)) == [
        (("Whom", "Value.Required"), "This value is required."),
        (("Times", "Integer.TooBig"), "Value may be no more than 3"),
        (("Tone", "Value.Unrecognized"), "Value must be one of warm, cool."),
        (("IsLoud", "Boolean.Invalid"), "Value must be true or false."),
    ]


@with_greet
def test_an_added_action_asks_for_its_session_and_role(api: ApiClient, as_bob: ApiClient) -> None:
    assert api.call("Greet").errors == [("SessionId", "Session.Authentication")]
    assert as_bob.call("Greet").messages == [NOT_GRANTED]


@with_greet
def test_an_added_action_sees_its_callers_rows_alone(
    as_charlie: ApiClient, organization: Organization, other_organization: Organization
) -> None:
    make_organization(organization.account)
    reply = as_charlie.call("Greet", Whom="joe")
    assert reply.result["Greeting"]["Domain"] == "globex.example.com"


@with_greet
def test_an_added_action_is_in_the_reference() -> None:
    assert section_of("Greet") == [
        "Greet somebody of the caller's first organization.",
        "",
        "A session of: Account Admin or System Admin.",
        "",
        "Parameter | | Value | Default | Meaning",
        "-|-|-|-|-",
        "`Whom` | required | text, up to 10 characters |  | Who is greeted.",
        "`Times` | optional | integer, 1 to 3 | `1` | How often.",
        "`Tone` | optional | `warm`, `cool` | `cool` | In which way.",
        "`IsLoud` | optional | `true` or `false` | `false` | Whether it is shouted.",
        "",
        "The answer's grammar: `/rng/Greet.rng`.",
    ]


@with_greet
@pytest.mark.parametrize("command", ["api_reference", "grammar"])
def test_an_added_action_makes_the_committed_files_stale(command: str, tmp_path: Path) -> None:
    module = tmp_path / "Greet.rng"
    with (
        patch("voicemail_site.webapi.grammar.module_files", lambda: module_files_with(module)),
        pytest.raises(CommandError, match="stale"),
    ):
        call_command(command, check=True)


def module_files_with(module: Path) -> dict[str, Path]:
    """Give the committed modules and one more."""
    return {**module_files(), module.stem: module}


@pytest.fixture
def grammar(_greet: None, tmp_path: Path) -> etree.RelaxNG:
    """Compile the grammar as it is after the action and its module were added."""
    for path in module_files().values():
        copy(path, tmp_path)
    module = tmp_path / "Greet.rng"
    module.write_text(GREET_MODULE)
    with patch("voicemail_site.webapi.grammar.module_files", lambda: module_files_with(module)):
        generated = generated_modules(tuple(actions()))
    for name, text in generated.items():
        (tmp_path / f"{name}.rng").write_text(text)
    return etree.RelaxNG(file=str(tmp_path / "jnctn.rng"))


def test_an_added_actions_answer_is_validated_by_the_grammar(
    as_alice: ApiClient, organization: Organization, grammar: etree.RelaxNG
) -> None:
    answer = as_alice.call("Greet", Whom="joe").content
    broken = answer.replace(b"<Text>joe</Text>", b"")
    assert broken != answer
    assert grammar.validate(etree.fromstring(answer))
    assert not grammar.validate(etree.fromstring(broken))


def test_what_a_test_has_added_is_gone_again(api: ApiClient) -> None:
    assert api.call("Greet").errors == [("Action", "Action.Unrecognized")]
    page = (Path(settings.BASE_DIR) / "docs" / "api-reference.md").read_text()
    assert "## Greet" not in page

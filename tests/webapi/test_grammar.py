"""The grammar by itself: documents written by hand, good and broken."""

from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from lxml import etree

from tests.webapi.rng import RELAX_NG, assert_valid, grammar
from voicemail_site.webapi.grammar import gathered, generated_modules, module_files
from voicemail_site.webapi.registry import actions

NAMESPACE = "http://www.jnctn.net/ns/rest/2006-01"
NOW = "2026-11-23T07:42:11+00:00"

ESTABLISHED = """
<IsEstablished>true</IsEstablished>
<SessionId>0123456789abcdefghijklmnop</SessionId>
<UserId>3</UserId>
<Roles><Role><Name>Account Admin</Name></Role></Roles>"""

REQUEST_ERROR = """
<Error>
  <Parameter>Limit</Parameter>
  <Code>Integer.TooBig</Code>
  <Message>Value may be no more than 25000</Message>
</Error>"""

ACTION_ERROR = """
<Error>
  <Code>AccountAuthorization.Required</Code>
  <Message>Permission to perform the requested action has not been granted.</Message>
</Error>"""

PARAMETER = "<Parameter><Name>Action</Name><Value>NoOp</Value></Parameter>"

CONTACT = f"""
<Contact>
  <Name/><Organization/><Address/><City/><State/><Zipcode/>
  <Country>United States of America</Country><CountryId>207</CountryId>
  <Phone/><Email/><Modified>{NOW}</Modified>
</Contact>"""

ACCOUNT = f"""
<Account>
  <AccountId>1</AccountId><Balance>0.00</Balance><CreditLimit>0.00</CreditLimit>
  <Recharge>false</Recharge><RechargeLevel>0.00</RechargeLevel>
  <RechargeThreshold>0.00</RechargeThreshold>
  <Modified>{NOW}</Modified><Created>{NOW}</Created>{CONTACT}
</Account>"""

ORGANIZATION = f"""
<Organization>
  <OrganizationId>2</OrganizationId><AccountId>1</AccountId><Service>hosted</Service>
  <Domain>example.onsip.com</Domain><CallerId/><CallerIdName/><CallerIdNumber/>
  <Status>enabled</Status><ExtendedDialing>false</ExtendedDialing>
  <E911Provisioning>true</E911Provisioning>
  <Modified>{NOW}</Modified><Created>{NOW}</Created>{CONTACT}
</Organization>"""

TRANSFER_ADDRESS = "<TransferAddress><Address/><Username/><Domain/><Type/><Name/></TransferAddress>"
ADDRESS = "<Address><Username>joe</Username><Domain>example.onsip.com</Domain></Address>"

VOICEMAILBOX = f"""
<Voicemailbox>
  <VoicemailboxId>4</VoicemailboxId><OrganizationId>2</OrganizationId><AccountId>1</AccountId>
  <Status>enabled</Status><Mailbox>7011</Mailbox><Password>0042</Password>
  <Fullname>Joe Smith</Fullname><Timezone>us_eastern</Timezone>
  <SayCallerId>false</SayCallerId><SayDuration>true</SayDuration>
  <SayDatetime>false</SayDatetime>
  <NotifyEmail>no</NotifyEmail><NotifyPager>no</NotifyPager><Email/><Pager/><Mwi/>
  {TRANSFER_ADDRESS}
  <Created>{NOW}</Created><Modified>{NOW}</Modified>
  {ADDRESS}
</Voicemailbox>"""

LIST = """
<Parameter>
  <Name>Extra</Name>
  <Array><Elements>
    <Element><Key>0</Key><Value>a</Value></Element>
    <Element><Key>1</Key><Array><Elements>
      <Element><Key>x</Key><Value/></Element>
    </Elements></Array></Element>
  </Elements></Array>
</Parameter>"""

OPEN = '<Later><Known a="b">to nobody</Known></Later>'


def page(name: str, records: str, attributes: str = 'Limit="20" Offset="0" Found="2"') -> str:
    """Give a page of records."""
    return f"<{name} {attributes}>{records}</{name}>"


RESULTS = {
    "AccountRead": ACCOUNT,
    "Echo": "",
    "NoOp": "",
    "OrganizationBrowse": page("Organizations", ORGANIZATION * 2),
    "OrganizationRead": ORGANIZATION,
    "SessionCreate": "",
    "SessionDestroy": "",
    "VoicemailboxAdd": VOICEMAILBOX,
    "VoicemailboxBrowse": page("Voicemailboxes", VOICEMAILBOX * 2),
    "VoicemailboxDelete": "",
    "VoicemailboxEdit": VOICEMAILBOX,
    "VoicemailboxRead": VOICEMAILBOX,
}


def response(
    result: str | None = "<NoOp/>",
    *,
    action: str = "<IsCompleted>true</IsCompleted>",
    is_valid: str = "true",
    request: str = "",
    session: str = ESTABLISHED,
) -> bytes:
    """Give a document of which each part can be replaced."""
    text = f"""<?xml version="1.0" encoding="UTF-8"?>
<Response xmlns="{NAMESPACE}">
  <Context>
    <Action>{action}</Action>
    <Request>
      <IsValid>{is_valid}</IsValid><DateTime>{NOW}</DateTime><Duration>12</Duration>
      {request}
    </Request>
    <Session>{session}</Session>
  </Context>
  {"" if result is None else f"<Result>{result}</Result>"}
</Response>"""
    return text.encode()


def result_of(name: str, content: str) -> bytes:
    """Give the answer of an action that was completed."""
    return response(f"<{name}>{content}</{name}>")


def refused(*, action: str = "", request: str = "", is_valid: str = "false") -> bytes:
    """Give the answer to a request that was refused."""
    action = f"<IsCompleted>false</IsCompleted>{action}"
    return response(None, action=action, is_valid=is_valid, request=request)


def is_accepted(xml: bytes) -> bool:
    """Tell what the grammar says of a document."""
    return bool(grammar().validate(etree.fromstring(xml)))


def without(element: str, member: str) -> str:
    """Drop a member from an element, wherever in it."""
    tree = etree.fromstring(element)
    for child in tree.findall(member):
        tree.remove(child)
    return str(etree.tostring(tree, encoding="unicode"))


def with_text(element: str, member: str, text: str) -> str:
    """Give a member of an element another text."""
    tree = etree.fromstring(element)
    tree.find(member).text = text
    return str(etree.tostring(tree, encoding="unicode"))


def members_of(*elements: str) -> list[tuple[str, str]]:
    """Give each element with the name of each of its members."""
    return [(element, child.tag) for element in elements for child in etree.fromstring(element)]


@pytest.mark.parametrize("name", sorted(RESULTS))
def test_every_actions_result_is_accepted(name: str) -> None:
    assert_valid(result_of(name, RESULTS[name]))


def test_every_registered_action_has_a_sample_here() -> None:
    assert set(RESULTS) == set(actions())


def test_an_exception_is_accepted() -> None:
    assert_valid(
        f'<Exception xmlns="{NAMESPACE}"><![CDATA[ Sorry; reference 7 & 8. ]]></Exception>'.encode()
    )


def test_errors_of_the_request_are_accepted() -> None:
    assert_valid(refused(request=f"<Errors>{REQUEST_ERROR * 2}</Errors>"))


def test_an_error_of_the_action_is_accepted() -> None:
    assert_valid(refused(action=f"<Errors>{ACTION_ERROR}</Errors>", is_valid="true"))


def test_a_refused_login_is_an_error_in_a_valid_request() -> None:
    assert_valid(refused(request=f"<Errors>{REQUEST_ERROR}</Errors>", is_valid="true"))


def test_a_session_that_is_not_established_says_only_that() -> None:
    assert_valid(response(session="<IsEstablished>false</IsEstablished>"))


def test_a_session_may_have_several_roles() -> None:
    role = "<Role><Name>User</Name></Role>"
    assert_valid(response(session=ESTABLISHED.replace("</Roles>", f"{role}</Roles>")))


def test_parameters_are_echoed_with_texts_lists_and_maps() -> None:
    assert_valid(response(request=f"<Parameters>{PARAMETER}{LIST}</Parameters>"))


def test_an_echoed_name_may_use_the_whole_of_unicode() -> None:
    parameter = "<Parameter><Name>é\u0303\U00010000</Name><Value/></Parameter>"
    assert_valid(response(request=f"<Parameters>{parameter}</Parameters>"))


def test_a_page_without_records_and_without_found_is_accepted() -> None:
    empty = page("Voicemailboxes", "", 'Limit="0" Offset="9223372036854775807"')
    assert_valid(result_of("VoicemailboxBrowse", empty))


def test_a_result_of_an_action_added_later_is_accepted() -> None:
    assert_valid(response(f"<UserRead>text {OPEN}</UserRead>"))


@pytest.mark.parametrize("name", sorted(RESULTS))
def test_members_may_stand_in_any_order(name: str) -> None:
    document = etree.fromstring(
        response(
            f"<{name}>{RESULTS[name]}</{name}>",
            action=f"<IsCompleted>false</IsCompleted><Errors>{ACTION_ERROR}</Errors>",
            request=f"<Parameters>{LIST}</Parameters><Errors>{REQUEST_ERROR}</Errors>",
        )
    )
    for element in document.iter():
        element[:] = reversed(element)
    assert_valid(etree.tostring(document))


@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("name", ["AccountRead", "OrganizationBrowse", "VoicemailboxBrowse"])
def test_unknown_members_are_accepted_everywhere_but_in_result(name: str, place: str) -> None:
    document = etree.fromstring(
        response(
            f"<{name}>{RESULTS[name]}</{name}>",
            action=f"<IsCompleted>false</IsCompleted><Errors>{ACTION_ERROR}</Errors>",
            request=f"<Parameters>{LIST}</Parameters><Errors>{REQUEST_ERROR}</Errors>",
        )
    )
    for element in [element for element in document.iter() if len(element)]:
        if etree.QName(element).localname != "Result":
            unknown = etree.fromstring(f'<Later xmlns="{NAMESPACE}">{OPEN}</Later>')
            element.insert(0 if place == "first" else len(element), unknown)
    assert_valid(etree.tostring(document))


def test_a_known_name_of_another_namespace_is_an_unknown_member() -> None:
    foreign = VOICEMAILBOX.replace("<Mwi/>", '<Mwi/><Mwi xmlns="urn:other"><Any/></Mwi>')
    assert_valid(result_of("VoicemailboxRead", foreign))


@pytest.mark.parametrize(("element", "member"), members_of(VOICEMAILBOX))
def test_every_member_of_a_voicemailbox_is_mandatory(element: str, member: str) -> None:
    assert not is_accepted(result_of("VoicemailboxRead", without(element, member)))


@pytest.mark.parametrize(("element", "member"), members_of(ORGANIZATION))
def test_every_member_of_an_organization_is_mandatory(element: str, member: str) -> None:
    assert not is_accepted(result_of("OrganizationRead", without(element, member)))


@pytest.mark.parametrize(("element", "member"), members_of(ACCOUNT))
def test_every_member_of_an_account_is_mandatory(element: str, member: str) -> None:
    assert not is_accepted(result_of("AccountRead", without(element, member)))


@pytest.mark.parametrize(("element", "member"), members_of(CONTACT))
def test_every_member_of_a_contact_is_mandatory(element: str, member: str) -> None:
    account = ACCOUNT.replace(CONTACT, without(element, member))
    assert not is_accepted(result_of("AccountRead", account))


@pytest.mark.parametrize(("element", "member"), members_of(TRANSFER_ADDRESS, ADDRESS))
def test_every_member_of_a_boxs_addresses_is_mandatory(element: str, member: str) -> None:
    box = VOICEMAILBOX.replace(element, without(element, member))
    assert not is_accepted(result_of("VoicemailboxRead", box))


@pytest.mark.parametrize("name", ["VoicemailboxAdd", "VoicemailboxEdit", "VoicemailboxRead"])
def test_a_box_without_mwi_is_refused_in_every_result(name: str) -> None:
    assert not is_accepted(result_of(name, VOICEMAILBOX.replace("<Mwi/>", "")))


def test_a_broken_box_is_refused_among_others_of_a_page() -> None:
    broken = VOICEMAILBOX + VOICEMAILBOX.replace("<Mwi/>", "") + VOICEMAILBOX
    assert not is_accepted(result_of("VoicemailboxBrowse", page("Voicemailboxes", broken)))


def test_a_member_that_stands_twice_is_refused() -> None:
    assert not is_accepted(
        result_of("VoicemailboxRead", VOICEMAILBOX.replace("<Mwi/>", "<Mwi/>" * 2))
    )


@pytest.mark.parametrize(
    ("member", "text"),
    [
        ("VoicemailboxId", ""),
        ("VoicemailboxId", "4.0"),
        ("Status", "Enabled"),
        ("Mailbox", "x"),
        ("Password", "******"),
        ("Password", "12345678"),
        ("Timezone", "us_eastern2"),
        ("SayCallerId", "1"),
        ("SayDuration", "True"),
        ("SayDatetime", ""),
        ("NotifyEmail", "false"),
        ("NotifyPager", "attach"),
        ("Created", "2026-11-23 07:42:11"),
        ("Modified", ""),
        ("Address", "joe@example.onsip.com"),
    ],
)
def test_a_value_of_another_type_is_refused_in_a_voicemailbox(member: str, text: str) -> None:
    assert not is_accepted(result_of("VoicemailboxRead", with_text(VOICEMAILBOX, member, text)))


@pytest.mark.parametrize("member", ["Balance", "CreditLimit", "Recharge", "RechargeLevel"])
def test_a_typed_member_of_an_account_is_never_empty(member: str) -> None:
    assert not is_accepted(result_of("AccountRead", with_text(ACCOUNT, member, "")))


@pytest.mark.parametrize("member", ["CountryId", "Modified"])
def test_a_typed_member_of_a_contact_is_never_empty(member: str) -> None:
    account = ACCOUNT.replace(CONTACT, with_text(CONTACT, member, ""))
    assert not is_accepted(result_of("AccountRead", account))


@pytest.mark.parametrize(("member", "text"), [("Service", "pbx"), ("Domain", ""), ("Status", "")])
def test_a_value_of_another_type_is_refused_in_an_organization(member: str, text: str) -> None:
    assert not is_accepted(result_of("OrganizationRead", with_text(ORGANIZATION, member, text)))


@pytest.mark.parametrize(
    "attributes", ["", 'Limit="20"', 'Offset="0"', 'Limit="all" Offset="0"', 'Limit="" Offset="0"']
)
def test_a_page_without_its_limit_and_offset_is_refused(attributes: str) -> None:
    without_them = page("Voicemailboxes", VOICEMAILBOX, attributes)
    assert not is_accepted(result_of("VoicemailboxBrowse", without_them))


@pytest.mark.parametrize("value", ["1", "0", "True", ""])
def test_is_completed_is_true_or_false_only(value: str) -> None:
    assert not is_accepted(response(action=f"<IsCompleted>{value}</IsCompleted>"))


@pytest.mark.parametrize("value", ["1", "0", "True", ""])
def test_is_valid_is_true_or_false_only(value: str) -> None:
    assert not is_accepted(response(is_valid=value))


@pytest.mark.parametrize("member", ["Parameter", "Code", "Message"])
def test_an_error_of_the_request_needs_all_three_members(member: str) -> None:
    errors = f"<Errors>{without(REQUEST_ERROR, member)}</Errors>"
    assert not is_accepted(refused(request=errors))


@pytest.mark.parametrize("member", ["Code", "Message"])
def test_an_error_of_the_action_needs_both_members(member: str) -> None:
    errors = f"<Errors>{without(ACTION_ERROR, member)}</Errors>"
    assert not is_accepted(refused(action=errors, is_valid="true"))


@pytest.mark.parametrize("code", ["", "Integer", "Integer.Too.Big", "Integer TooBig", ".TooBig"])
def test_a_code_is_two_words_joined_by_a_dot(code: str) -> None:
    errors = f"<Errors>{with_text(REQUEST_ERROR, 'Code', code)}</Errors>"
    assert not is_accepted(refused(request=errors))


def test_empty_errors_of_the_request_are_refused() -> None:
    assert not is_accepted(refused(request="<Errors/>"))


def test_empty_errors_of_the_action_are_refused() -> None:
    assert not is_accepted(refused(action="<Errors/>", is_valid="true"))


def test_empty_parameters_are_refused() -> None:
    assert not is_accepted(response(request="<Parameters/>"))


@pytest.mark.parametrize(
    "parameter",
    ["<Name>a</Name>", "<Value>a</Value>", "<Name/><Value/>", "<Name>a</Name><Array/>"],
)
def test_a_parameter_is_a_name_with_a_value_or_an_array(parameter: str) -> None:
    parameters = f"<Parameters><Parameter>{parameter}</Parameter></Parameters>"
    assert not is_accepted(response(request=parameters))


@pytest.mark.parametrize("member", ["SessionId", "UserId", "Roles"])
def test_an_established_session_needs_each_of_its_members(member: str) -> None:
    session = etree.fromstring(without(f"<Session>{ESTABLISHED}</Session>", member))
    members = "".join(etree.tostring(child, encoding="unicode") for child in session)
    assert not is_accepted(response(session=members))


def test_an_established_session_has_a_role() -> None:
    role = "<Role><Name>Account Admin</Name></Role>"
    assert not is_accepted(response(session=ESTABLISHED.replace(role, "")))


def test_a_session_that_is_not_established_has_no_id() -> None:
    session = "<IsEstablished>false</IsEstablished><SessionId>abc</SessionId>"
    assert not is_accepted(response(session=session))


@pytest.mark.parametrize(
    "result", ["", "text", "<Echo/><NoOp/>", "<NoOp/><NoOp/>", "<NoOp/><Later/>"]
)
def test_a_result_is_exactly_one_element(result: str) -> None:
    assert not is_accepted(response(result))


@pytest.mark.parametrize("name", ["Echo", "NoOp", "SessionCreate", "SessionDestroy"])
def test_an_action_that_tells_nothing_has_an_empty_result(name: str) -> None:
    assert not is_accepted(result_of(name, "<Value/>"))


@pytest.mark.parametrize("content", ["", OPEN])
def test_a_known_result_without_its_element_is_refused(content: str) -> None:
    assert not is_accepted(result_of("VoicemailboxRead", content))


def test_text_between_members_is_refused() -> None:
    assert not is_accepted(result_of("VoicemailboxRead", f"text {VOICEMAILBOX}"))


@pytest.mark.parametrize("xml", [f'<Answer xmlns="{NAMESPACE}"/>', "<Response/>", VOICEMAILBOX])
def test_an_unknown_top_element_is_refused(xml: str) -> None:
    assert not is_accepted(xml.encode())


def test_a_response_without_a_namespace_is_refused() -> None:
    assert not is_accepted(response().replace(f' xmlns="{NAMESPACE}"'.encode(), b""))


def test_an_exception_is_plain_text() -> None:
    assert not is_accepted(f'<Exception xmlns="{NAMESPACE}"><Trace/></Exception>'.encode())


def test_a_failure_names_the_innermost_broken_element() -> None:
    broken = page("Voicemailboxes", VOICEMAILBOX.replace("<Mwi/>", ""))
    with pytest.raises(pytest.fail.Exception, match=r"^Voicemailbox: .*\bMwi\b"):
        assert_valid(result_of("VoicemailboxBrowse", broken))


def test_a_page_of_25000_boxes_is_validated() -> None:
    assert_valid(result_of("VoicemailboxBrowse", page("Voicemailboxes", VOICEMAILBOX * 25_000)))


def patterns() -> Mapping[str, Any]:
    """Give every named pattern of the published modules."""
    trees = [etree.parse(path) for path in module_files().values()]
    return {
        define.get("name"): define for tree in trees for define in tree.iter(f"{RELAX_NG}define")
    }


def names_within(pattern: Any, named: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give the elements that a content model declares, and those that its open content excludes."""
    for child in pattern.iterchildren(etree.Element):
        if child.tag == f"{RELAX_NG}ref":
            yield from names_within(named[child.get("name")], named)
        elif child.tag == f"{RELAX_NG}element" and child.get("name"):
            yield "declared", child.get("name")
        elif child.tag == f"{RELAX_NG}element":
            excluded = child.iterfind(f"{RELAX_NG}anyName/{RELAX_NG}except/{RELAX_NG}name")
            yield from (("excluded", name.text) for name in excluded)
        else:
            yield from names_within(child, named)


def test_open_content_excludes_exactly_the_declared_names() -> None:
    # A name that is forgotten lets a broken element pass as an unknown one.
    named = patterns()
    for define in named.values():
        for element in define.iter(f"{RELAX_NG}element"):
            if element.get("name"):
                found = set(names_within(element, named))
                declared = {name for kind, name in found if kind == "declared"}
                assert {name for kind, name in found if kind == "excluded"} == declared, (
                    element.get("name")
                )


def test_every_pattern_of_every_module_has_its_own_name() -> None:
    trees = [etree.parse(path) for path in module_files().values()]
    names = [d.get("name") for tree in trees for d in tree.iter(f"{RELAX_NG}define")]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "name",
    [
        "jnctn",
        "Voicemailbox",
        "VoicemailboxAdd",
        "VoicemailboxBrowse",
        "VoicemailboxDelete",
        "VoicemailboxEdit",
        "VoicemailboxRead",
    ],
)
def test_every_module_that_the_documentation_links_is_served(name: str, client: Client) -> None:
    answer = client.get(f"/rng/{name}.rng")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/xml; charset=utf-8"
    assert answer.content == module_files()[name].read_bytes()


def test_every_module_that_the_entry_includes_is_served(client: Client) -> None:
    entry = etree.fromstring(client.get("/rng/jnctn.rng").content)
    for include in entry.iter(f"{RELAX_NG}include"):
        assert client.get(f"/rng/{include.get('href')}").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "Unknown.rng",
        "voicemailbox.rng",
        "..%2Frng%2FEcho.rng",
        "../grammar.py",
        "%2Fetc%2Fpasswd.rng",
    ],
)
def test_whatever_is_no_module_is_not_found(path: str, client: Client) -> None:
    assert client.get(f"/rng/{path}").status_code == 404


def test_a_module_can_only_be_read(client: Client) -> None:
    assert client.post("/rng/Echo.rng").status_code == 405


def test_a_module_that_two_apps_have_is_refused(tmp_path: Path) -> None:
    for app in ("one", "two"):
        (tmp_path / app).mkdir()
        (tmp_path / app / "Echo.rng").touch()
    with pytest.raises(ImproperlyConfigured, match=r"Echo\.rng must stand in one directory only"):
        gathered([tmp_path / "one", tmp_path / "two"])


def test_an_action_without_a_module_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"UserRead needs a module UserRead\.rng"):
        generated_modules(["NoOp", "UserRead"])


def test_the_committed_modules_are_the_generated_ones() -> None:
    call_command("grammar", check=True, stdout=StringIO())


def test_the_command_writes_what_its_check_accepts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "voicemail_site.webapi.management.commands.grammar.GENERATED_DIRECTORY", tmp_path
    )
    call_command("grammar", stdout=StringIO())
    call_command("grammar", check=True, stdout=StringIO())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Result.rng", "jnctn.rng"]


def test_the_check_names_the_stale_file_and_leaves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "voicemail_site.webapi.management.commands.grammar.GENERATED_DIRECTORY", tmp_path
    )
    call_command("grammar", stdout=StringIO())
    (tmp_path / "Result.rng").write_text("stale", encoding="utf-8")
    with pytest.raises(CommandError, match=r"^Result\.rng: stale"):
        call_command("grammar", check=True, stdout=StringIO())
    assert (tmp_path / "Result.rng").read_text(encoding="utf-8") == "stale"

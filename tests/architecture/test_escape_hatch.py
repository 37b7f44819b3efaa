"""Every place where rows are reached without ``visible_to``, each with its reason.

A reason is one sentence that a reviewer can check: why there is no caller, or why what is found
there never reaches another account. An object's own relations (``account.users``) are not listed:
whoever holds the object has looked it up within the scope.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
PACKAGES = ("accounts", "voicemail", "voicemail_site")

# Managers without a scope, and the ways to a database without a manager.
HATCHES = frozenset(
    {"unscoped", "history", "_default_manager", "_base_manager"}
    | {"default_manager", "base_manager", "cursor", "chunked_cursor", "raw", "extra", "RawSQL"}
)
# Classes of the library's; a history's own class is named Historical and its model.
HISTORY_LIBRARY = frozenset({"HistoricalRecords", "HistoricalChanges"})

# Each use as the file, the function in it, and the expression.
ALLOWED = {
    "accounts/authentication.py  Session.unscoped": (
        "The session is found by the digest of a secret, and it alone tells who the caller is."
    ),
    "accounts/authentication.py UserBackend.get_user User.unscoped": (
        "Django asks for the user of an established login; before the answer there is no caller."
    ),
    "accounts/authentication.py find_user User.unscoped": (
        "Somebody who logs in is nobody yet, and the user found is told only to the right password."
    ),
    "accounts/guards.py _names_in_place connection.cursor": (
        "It reads the names of constraints and triggers from the catalogue, and no account's rows."
    ),
    "accounts/guards.py install_guards connection.cursor": (
        "It makes constraints and triggers after a migration, and reads no rows."
    ),
    "accounts/guards.py keep_ids_unused connection.cursor": (
        "It reads the highest id of each history after a migration, and shows it to nobody."
    ),
    "accounts/guards.py keep_ids_unused getattr(model, 'history', None)": (
        "It takes the name of the history's table, and no rows of it."
    ),
    "accounts/guards.py remove_triggers connection.cursor": (
        "It takes triggers away before a migration, and reads no rows."
    ),
    "accounts/history.py current_change Change.unscoped": (
        "It reads the Change that this very request has opened."
    ),
    "accounts/history.py record_event instance._meta.model.history": (
        "It writes a row about the object in hand, and reads none."
    ),
    "accounts/history.py record_deletions objects[0]._meta.model.history": (
        "It writes rows about the objects in hand, and reads none."
    ),
    "accounts/passwords.py SetPassword._holder User.unscoped": (
        "It locks the user whom the link that was opened names, and who proves so by its token."
    ),
    "accounts/services.py _held model.unscoped": (
        "It locks the object of a history row that was found through rows_visible_to."
    ),
    "accounts/services.py _keep_last_admin Account.unscoped": (
        "It locks the account of the user in hand, and gives back nothing."
    ),
    "accounts/services.py end_session Session.unscoped": (
        "Whoever knows the SessionId may end the session; nothing is read."
    ),
    "accounts/services.py open_session Session.unscoped": (
        "It stores the session of a user who has just proved to be that user."
    ),
    "accounts/services.py purge_changes Change.unscoped": (
        "Old history is deleted by age from a command, for all accounts alike."
    ),
    "accounts/services.py purge_sessions Session.unscoped": (
        "What has ended opens nothing any more, and is deleted for all accounts alike."
    ),
    "accounts/services.py touch_session Session.unscoped": (
        "It writes the time of use to the caller's own session, which is in hand."
    ),
    "accounts/undo.py _delete_user Account.history": (
        "It asks whether the user in hand came with the account, and tells nobody."
    ),
    "accounts/versions.py is_by_staff User.history": (
        "Changes within the scope are compared with these ids in the database; none comes out."
    ),
    "accounts/versions.py rows_visible_to model.history": (
        "This is the one way to history rows: it narrows them to what the viewer may see."
    ),
    "voicemail/bulk/checking.py Checker._boxes Voicemailbox.unscoped": (
        "The boxes are narrowed to the organizations that the import was given."
    ),
    "voicemail/bulk/checking.py _ids_of connection.cursor": (
        "It finds ids by numbers within organizations that were looked up in the import's scope."
    ),
    "voicemail/bulk/exports.py record_pins_shown Voicemailbox.history": (
        "It takes the name of the history's table, and reads no rows of it."
    ),
    "voicemail/bulk/exports.py record_pins_shown connection.cursor": (
        "It writes history of the boxes in hand, as many as there are, in one statement."
    ),
    "voicemail/bulk/staging.py  Voicemailbox.history": (
        "It takes the name of the history's table, and reads no rows of it."
    ),
    "voicemail/bulk/staging.py _execute connection.cursor": (
        "It writes rows that were judged in the import's scope, and their history."
    ),
    "voicemail/bulk/staging.py _fill connection.cursor": (
        "It copies rows into a temporary table, which the services could not do as fast."
    ),
    "voicemail/bulk/staging.py _rows connection.cursor": (
        "It counts rows of an import's temporary table, and those boxes that they are about."
    ),
    "voicemail/demonstration.py _facts Organization.unscoped": (
        "A command writes down what each login of the demonstration sees, narrowed to its account."
    ),
    "voicemail/demonstration.py _fill Voicemailbox.unscoped": (
        "A command asks whether the demonstration's own organization has boxes already."
    ),
    "voicemail/demonstration.py _login User.unscoped": (
        "A command looks for the demonstration's own users by their fixed names."
    ),
    "voicemail/demonstration.py _organizations Organization.unscoped": (
        "A command looks for the demonstration's own organizations by their fixed domains."
    ),
    "voicemail/demonstration.py _write_boxes Voicemailbox.history": (
        "It takes the name of the history's table, and no rows of it."
    ),
    "voicemail/demonstration.py _write_boxes connection.cursor": (
        "It writes the demonstration's own boxes, and reads none but these."
    ),
    "voicemail/demonstration.py are_there_many Organization.unscoped": (
        "A command looks for one of the demonstration's own organizations by its fixed domain."
    ),
    "voicemail/demonstration.py is_in_use Account.unscoped": (
        "A command asks whether there is any account but the demonstration's, and shows none."
    ),
    "voicemail/demonstration.py is_in_use Organization.unscoped": (
        "A command tells the demonstration's accounts from others by their fixed domains."
    ),
    "voicemail/migrations/0002_search.py make connection.cursor": (
        "It makes an extension of PostgreSQL's in a migration, and reads no rows."
    ),
    "voicemail/migrations/0005_spool_tasks.py drop_open_tasks "
    "apps.get_model('voicemail', 'SpoolTask')._default_manager": (
        "A migration goes back for the whole database, and no caller is told anything."
    ),
    "voicemail/migrations/0005_spool_tasks.py give_open_orders "
    "apps.get_model('voicemail', name)._default_manager": (
        "A migration moves the whole database, and no caller is told anything."
    ),
    "voicemail/models.py _others_holding Voicemailbox.unscoped": (
        "A number is unique within the box's own organization, whoever asks, and no row is read."
    ),
    "voicemail/services.py _is_last_pin Voicemailbox.history": (
        "It compares the PINs of one box, whose history row is in hand, and tells only the answer."
    ),
    "voicemail/services.py delete_voicemailboxes RefusedPin.unscoped": (
        "It deletes what is noted of the boxes in hand."
    ),
    "voicemail/services.py delete_voicemailboxes Voicemailbox.unscoped": (
        "It deletes the boxes in hand."
    ),
    "voicemail/services.py former_voicemailbox Organization.unscoped": (
        "It asks whether the organization of the history row in hand still exists in its account."
    ),
    "voicemail/services.py restore_voicemailbox Organization.unscoped": (
        "It locks the organization of a history row that was found through rows_visible_to."
    ),
    "voicemail/services.py restore_voicemailbox Voicemailbox.unscoped": (
        "It locks the box of a history row that was found through rows_visible_to."
    ),
    "voicemail/asterisk/boxes.py boxes_for SpoolOrder.unscoped": (
        "The orders are narrowed to the PBX that asks, and none is given out."
    ),
    "voicemail/asterisk/boxes.py boxes_for Voicemailbox.unscoped": (
        "A PBX is no user; the boxes are narrowed to what its credential may ask for."
    ),
    "voicemail/asterisk/credentials.py Credentials.pbxs Pbx.unscoped": (
        "The PBX is found by the digest of a secret, and it alone tells who asks."
    ),
    "voicemail/asterisk/views.py SpoolOrdersView.answer SpoolOrder.unscoped": (
        "The orders are those of the tasks of the PBX that asks."
    ),
    "voicemail/asterisk/views.py SpoolOrdersView.answer SpoolTask.unscoped": (
        "The tasks are narrowed to the PBX that asks."
    ),
    "voicemail/models.py SpoolOrderQuerySet.finished SpoolTask.unscoped": (
        "Tasks are compared in the database with orders in hand; none comes out."
    ),
    "voicemail/models.py SpoolOrderQuerySet.open_for SpoolTask.unscoped": (
        "Tasks are compared in the database with orders in hand; none comes out."
    ),
    "voicemail/models.py SpoolOrderQuerySet.unfinished SpoolTask.unscoped": (
        "Tasks are compared in the database with orders in hand; none comes out."
    ),
    "voicemail/models.py VoicemailboxQuerySet.delayed Pbx.unscoped": (
        "PBXs are compared in the database with boxes in hand; none comes out."
    ),
    "voicemail/models.py VoicemailboxQuerySet.delayed SpoolOrder.unscoped": (
        "Orders are compared in the database with boxes in hand; none comes out."
    ),
    "voicemail/models.py VoicemailboxQuerySet.delayed SpoolTask.unscoped": (
        "Tasks are compared in the database with boxes in hand; none comes out."
    ),
    "voicemail/services.py change_pin_by_phone RefusedPin.unscoped": (
        "It stores a refusal for the account of the box in hand."
    ),
    "voicemail/spool.py confirm SpoolTask.unscoped": ("It marks the tasks of the PBX in hand."),
    "voicemail/spool.py delayed_among Voicemailbox.unscoped": (
        "It narrows the boxes in hand, and gives their ids alone."
    ),
    "voicemail/spool.py give Pbx.unscoped": (
        "The service tells every PBX that serves the organization in hand, and names none."
    ),
    "voicemail/spool.py give SpoolOrder.unscoped": (
        "It stores orders about boxes that its caller has in hand."
    ),
    "voicemail/spool.py give SpoolTask.unscoped": ("It stores the tasks of the orders in hand."),
    "voicemail/spool.py give_missed SpoolOrder.unscoped": (
        "The orders are narrowed to what the PBX in hand may ask for, and none is given out."
    ),
    "voicemail/spool.py give_missed SpoolTask.unscoped": ("It stores tasks of the PBX in hand."),
    "voicemail/spool.py may_play_others Organization.history": (
        "A domain may have been another account's; only whether a box had the number is told."
    ),
    "voicemail/spool.py may_play_others Pbx.unscoped": ("It tells only whether there is any PBX."),
    "voicemail/spool.py may_play_others Voicemailbox.history": (
        "It tells only whether another box had the number of the box in hand."
    ),
    "voicemail/spool.py pbxs_to_wait_for Pbx.unscoped": (
        "The PBXs are those that serve the box in hand, and the form names them to staff alone."
    ),
    "voicemail/spool.py pbxs_to_wait_for SpoolOrder.unscoped": (
        "Orders are compared in the database with the box in hand; none comes out."
    ),
    "voicemail/spool.py pbxs_to_wait_for SpoolTask.unscoped": (
        "Tasks are compared in the database with the box in hand; none comes out."
    ),
    "voicemail/spool.py purge_orders SpoolOrder.unscoped": (
        "A command deletes what is old and done, whosever it is, and shows none of it."
    ),
    "voicemail/verification.py _names_in_place connection.cursor": (
        "It reads the names of constraints and indexes from the catalogue, and no account's rows."
    ),
    "voicemail/verification.py _orphans_by target._base_manager": (
        "Rows in hand are compared with their parents in the database; none of these comes out."
    ),
    "voicemail/verification.py _postgresql_findings connection.cursor": (
        "It reads the names of indexes from the catalogue, and no account's rows."
    ),
    "voicemail/verification.py _stale_orders SpoolTask.unscoped": (
        "The tasks are narrowed to the orders in hand, for an operator at a shell."
    ),
    "voicemail/spool.py withdraw_removal SpoolOrder.unscoped": (
        "It reads the orders about the names of the box in hand, and gives none out."
    ),
    "voicemail/models.py  Organization.unscoped": (
        "It asks of the organization in hand whether a number or an address is taken in it."
    ),
    "voicemail_site/management/commands/migrate.py _ask connection.cursor": (
        "It takes the lock of migrate and sets how long to wait, and reads no rows."
    ),
    "voicemail_site/metrics.py _from_the_database connection.cursor": (
        "It reads how many connections there are, and no account's rows."
    ),
    "voicemail_site/metrics.py _from_the_database Session.unscoped": (
        "The operator's metrics tell how many there are in all, and nothing of any."
    ),
    "voicemail_site/metrics.py _from_the_database SpoolTask.unscoped": (
        "The operator's metrics tell how many there are in all, and nothing of any."
    ),
    "voicemail_site/statements.py _Compiling._fetch database.cursor": (
        "It runs what a queryset was compiled to; where that is scoped, so is this."
    ),
    "voicemail_site/statements.py Statement.stream connection.chunked_cursor": (
        "It runs what a queryset was compiled to; where that is scoped, so is this."
    ),
    "accounts/history.py History.finalize sender.history": (
        "It takes the name of the history's table, and no rows of it."
    ),
    "accounts/recorded.py _rows model.history": (
        "It takes the name of the history's table, and no rows of it."
    ),
    "voicemail/bulk/staging.py Stage.reasons connection.chunked_cursor": (
        "It reads rows of an import's temporary table."
    ),
    "voicemail/bulk/staging.py _give_orders connection.chunked_cursor": (
        "It reads rows of an import's temporary table."
    ),
    "voicemail/tally.py recount connection.cursor": (
        "It counts all boxes for the tally, and tells nobody."
    ),
    "voicemail/verification.py _wrong_tallies MailboxTally.unscoped": (
        "The tallies are those of organizations that were looked up in the command's scope."
    ),
    "voicemail/verification.py fix Organization.unscoped": (
        "What is mended is mended for all accounts, and none is told."
    ),
    "voicemail_site/writes.py CompiledModel._do_update connections[using].cursor": (
        "It writes the object in hand, as Django's save does."
    ),
    "voicemail_site/writes.py run connections[using].cursor": (
        "It runs a statement that writes the object in hand."
    ),
}


class Finder(ast.NodeVisitor):
    """Collect the uses in one module as (enclosing function, expression)."""

    def __init__(self) -> None:
        self.scope: list[str] = []
        self.found: set[tuple[str, str]] = set()

    def _note_if(self, is_use: bool, node: ast.AST) -> None:
        if is_use:
            self.found.add((".".join(self.scope), ast.unparse(node)))

    def generic_visit(self, node: ast.AST) -> None:
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                self.scope.append(node.name)
                super().generic_visit(node)
                self.scope.pop()
                return
            case ast.Attribute(attr=name) | ast.Name(id=name) | ast.alias(name=name):
                self._note_if(is_hatch(name, node), node)
            case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=name), *_]):
                self._note_if(name in HATCHES, node)
            case ast.Call(func=ast.Name(id="QuerySet") | ast.Attribute(attr="QuerySet")):
                self._note_if(True, node)
        super().generic_visit(node)


def is_hatch(name: str, node: ast.AST) -> bool:
    """Tell whether a name leads round the scope; a bare ``history`` may be anything."""
    is_history_class = name.startswith("Historical") and name not in HISTORY_LIBRARY
    is_bare = not isinstance(node, ast.Attribute) and name != "RawSQL"
    return is_history_class or (name in HATCHES and not is_bare)


def uses_in(source: str) -> set[tuple[str, str]]:
    finder = Finder()
    finder.visit(ast.parse(source))
    return finder.found


def every_use() -> set[str]:
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return {
        f"{path.relative_to(ROOT).as_posix()} {function} {expression}"
        for path in files
        for function, expression in uses_in(path.read_text())
    }


def test_every_way_round_the_scope_is_known_and_has_a_reason() -> None:
    unknown = sorted(every_use() - ALLOWED.keys())
    assert unknown == [], (
        "Reach these rows through objects.visible_to(caller). Where that can't be, add the use to "
        f"ALLOWED in {Path(__file__).name}, with the reason in one sentence."
    )


def test_the_list_names_no_use_that_is_gone() -> None:
    gone = sorted(ALLOWED.keys() - every_use())
    assert gone == [], f"Take these out of ALLOWED in {Path(__file__).name}: nothing uses them."


def test_a_reason_is_a_sentence() -> None:
    assert [reason for reason in ALLOWED.values() if not reason.endswith(".")] == []


@pytest.mark.parametrize(
    ("source", "expression"),
    [
        ("User.unscoped.all()", "User.unscoped"),
        ("model._base_manager.all()", "model._base_manager"),
        ("box.history.first()", "box.history"),
        ("getattr(model, '_default_manager')", "getattr(model, '_default_manager')"),
        ("from voicemail.models import HistoricalVoicemailbox", "HistoricalVoicemailbox"),
        ("HistoricalUser.objects.all()", "HistoricalUser"),
        ("connections['default'].cursor()", "connections['default'].cursor"),
        ("models.QuerySet(User)", "models.QuerySet(User)"),
        ("from django.db.models.expressions import RawSQL", "RawSQL"),
        ("RawSQL('SELECT 1', ())", "RawSQL"),
    ],
)
def test_a_way_round_the_scope_is_found(source: str, expression: str) -> None:
    module = f"class Surface:\n    def show(self):\n        {source}"
    assert uses_in(module) == {("Surface.show", expression)}


@pytest.mark.parametrize(
    "source", ["User.objects.visible_to(caller)", "history = HistoricalRecords()", "history.sort()"]
)
def test_the_scope_itself_is_no_way_round_it(source: str) -> None:
    assert uses_in(source) == set()

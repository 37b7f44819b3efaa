"""The reference of the operators' commands, written from their parsers."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from accounts.management.base import ListVerb, NounCommand, SingleCommand, Verb

_HEAD = """\
# The commands

This page is written by `manage.py command_reference` from the commands' own options; a test
compares the two. `manage.py COMMAND --help` and `manage.py COMMAND VERB --help` tell the same at
the shell.

## For all commands

**What is meant.** A verb about one object takes its id or its natural key: of an account the
domain of any of its organizations, of an organization its domain, of a user the authentication
name or the address `joe@example.com`, of a mailbox `7001@example.com`. Digits alone are an id. A
scope, `--account` or `--organization`, may be added: the object must then lie in it, and one
outside is reported as missing. A verb about many objects needs a scope: one of `--account`,
`--organization` and `--all-accounts`.

**What comes out.** Results go to standard output, questions and notes to standard error. Where one
of them is closed, what would go there is lost, a new credential or PIN as well.
`--format table` is for people: on a terminal a table is as wide as the terminal and long values
end in an ellipsis; in a pipe they are whole. `--format json` is one array of objects, one object a
line, and `--format csv` begins with a line of names; both are written while they are read. Names
are the same in both and do not change: those listed below as fields. Times are in UTC, such as
`2026-11-24T23:31:51+00:00`; amounts are texts in JSON, so that none is rounded. In CSV an
apostrophe stands before a text that begins with `=`, `+`, `-`, `@`, a tab, a carriage return or an
apostrophe, so that no spreadsheet takes it for a formula. A verb that changes objects prints a
sentence for each, or in JSON and CSV its fields after the change with an `outcome` before them:
`added`, `changed`, `unchanged`, `deleted` and so on; where objects are only counted, `outcome` and
`count`. No command prints a password, a PIN or a SessionId that it was not asked for.

**What is changed.** A change is one transaction and one entry of the history, with the channel
"command" and the operator's name: `--operator`, else `SUDO_USER`, else the login name. PBXs and API
sessions have no history. What changes nothing leaves no entry, and is no error. `--dry-run` does
everything, the checks of the database among it, undoes it and says what would be; a new object has
no id then. Where a verb destroys something it asks first; without a terminal it refuses unless
`--yes` is given. `Ctrl-C`, a kill and a broken pipe leave the database as it was before the
transaction or after it. What is purged in batches is gone batch by batch.

**Exit codes.** 0: done. 1: refused, or the database can't be reached; the message says what would
be accepted. 2: not understood. 130: interrupted by `Ctrl-C`; 143: terminated. 141: whoever read the
result left, as in `| head -1`; a change that was stored by then ends with 0.

**Passwords** are asked for, read from standard input, or set by their owner through a link; none
is taken as an argument, which `ps` would show. `createsuperuser` makes the first user of the
provider's staff: it asks, or with `--no-input` takes `DJANGO_SUPERUSER_PASSWORD`. Django's
`changepassword` only points to `users password`.
"""


def reference(commands: Mapping[str, BaseCommand]) -> str:
    """Write the page about these commands, each under its name."""
    sections = [_section(name, commands[name]) for name in sorted(commands)]
    return "\n".join([_HEAD, *sections])


def _section(name: str, command: BaseCommand) -> str:
    lines = [f"## {name}", ""]
    match command:
        case NounCommand():
            lines += [inspect.cleandoc(command.__doc__ or ""), ""]
            for verb in command.verbs:
                lines += [f"### {name} {verb.name()}", "", *_of_verb(verb)]
        case SingleCommand():
            lines += _of_verb(command.verb)
        case _:
            parser = CommandParser()
            command.add_arguments(parser)
            lines += [command.help, "", *_table(_actions(parser))]
    return "\n".join(lines)


def _of_verb(verb: type[Verb]) -> Iterator[str]:
    own, every = CommandParser(), CommandParser()
    verb.add_arguments(own)
    verb.configure(every)
    yield inspect.cleandoc(verb.__doc__ or "")
    yield from ("", "```", f"manage.py {verb.example}", "```", "")
    yield from _table(_actions(own))
    known = {action.dest for action in _actions(own)}
    recurring = [action for action in _actions(every) if action.dest not in known]
    if recurring:
        yield f"And: {', '.join(f'`{_spelled(action)}`' for action in recurring)}."
        yield ""
    if issubclass(verb, ListVerb):
        yield f"Fields: {', '.join(f'`{column}`' for column in verb.columns)}."
        yield ""


def _actions(parser: CommandParser) -> Sequence[argparse.Action]:
    """Give a parser's arguments, but for its help."""
    return [action for action in parser._actions if action.dest != "help"]


def _table(actions: Sequence[argparse.Action]) -> Iterator[str]:
    if actions:
        yield from ("Argument | Meaning", "-|-")
        yield from (
            f"{_cell(f'`{_spelled(action)}`')} | {_cell(_meaning(action))}" for action in actions
        )
        yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _spelled(action: argparse.Action) -> str:
    """Write an argument as it is typed."""
    value = action.metavar or ""
    if action.choices and not action.metavar:
        value = "|".join(map(str, action.choices))
    if not action.option_strings:
        several = " ..." if action.nargs in ("+", "*") else ""
        return f"{value or action.dest}{several}"
    value = value or (action.dest.upper() if action.nargs is None else "")
    return f"{', '.join(action.option_strings)} {value}".strip()


def _meaning(action: argparse.Action) -> str:
    text = str(action.help or "")
    default: Any = action.default
    is_told = default in (None, False, argparse.SUPPRESS) or f"({default})" in text
    return text if is_told else f"{text} By default `{default}`."

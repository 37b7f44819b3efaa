"""The RELAX NG grammar: gathered from the apps, completed, and published under /rng/."""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

GENERATED_DIRECTORY = Path(__file__).parent / "rng"

ENTRY = "jnctn"
RESULT = "Result"

_MODULE = """\
<?xml version="1.0" encoding="UTF-8"?>
<!-- {comment}
     Generated from the registered actions by `manage.py grammar`. -->
<grammar
    xmlns="http://relaxng.org/ns/structure/1.0"
    ns="http://www.jnctn.net/ns/rest/2006-01">
{body}
</grammar>
"""

_ENTRY_BODY = """\
{includes}

  <start>
    <choice>
      <ref name="Response"/>
      <ref name="Exception"/>
    </choice>
  </start>"""

_RESULT_BODY = """\
  <define name="Result">
    <element name="Result">
      <choice>
{references}
        <ref name="UnknownResult"/>
      </choice>
    </element>
  </define>

  <!-- Without this list the broken result of a known action would pass as an unknown one. -->
  <define name="UnknownResult">
    <element>
      <anyName>
        <except>
{names}
        </except>
      </anyName>
      <ref name="Any"/>
    </element>
  </define>"""


@cache
def module_files() -> dict[str, Path]:
    """Find every module by its name, such as ``Voicemailbox``, in the installed apps."""
    return gathered(Path(config.path) / "rng" for config in apps.get_app_configs())


def gathered(directories: Iterable[Path]) -> dict[str, Path]:
    """Put the modules of several directories under one roof, as /rng/ publishes them.

    Raises ImproperlyConfigured for a name that two directories have.
    """
    files: dict[str, Path] = {}
    for path in (path for directory in directories for path in sorted(directory.glob("*.rng"))):
        if path.stem in files:
            raise ImproperlyConfigured(
                f"{path.name} must stand in one directory only, "
                f"not in both {files[path.stem].parent} and {path.parent}."
            )
        files[path.stem] = path
    return files


@require_safe
def rng_module(request: HttpRequest, name: str) -> HttpResponse:
    """Serve one module (docs/protocol.md, RELAX NG)."""
    path = module_files().get(name)
    if path is None:
        raise Http404(f"There is no module {name}.rng.")
    # Browsers offer application/relax-ng+xml for download; as plain XML they show it.
    return HttpResponse(path.read_bytes(), content_type="application/xml; charset=utf-8")


def generated_modules(action_names: Sequence[str]) -> dict[str, str]:
    """Give the text of the modules, by name, that depend on which actions there are.

    Raises ImproperlyConfigured for an action whose own module is missing.
    """
    modules = module_files()
    for name in action_names:
        if name not in modules:
            raise ImproperlyConfigured(f"The action {name} needs a module {name}.rng.")
    return {
        ENTRY: _entry_module({*modules, RESULT} - {ENTRY}),
        RESULT: _result_module(sorted(action_names)),
    }


def _entry_module(modules: Iterable[str]) -> str:
    includes = (f'  <include href="{name}.rng"/>' for name in sorted(modules))
    return _MODULE.format(
        comment="The entry: includes every module, and accepts a Response or an Exception.",
        body=_ENTRY_BODY.format(includes="\n".join(includes)),
    )


def _result_module(action_names: Sequence[str]) -> str:
    references = (f'        <ref name="{name}"/>' for name in action_names)
    names = (f"          <name>{name}</name>" for name in action_names)
    return _MODULE.format(
        comment="What a completed action answers: one element, named after the action.",
        body=_RESULT_BODY.format(references="\n".join(references), names="\n".join(names)),
    )

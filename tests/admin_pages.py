"""A person at the admin in tests: a browser without scripts, and what it shows."""

from __future__ import annotations

from typing import Any

from django.contrib.messages import get_messages
from django.db import models
from django.test import Client
from django.urls import reverse

from accounts.models import User

BACKEND = "accounts.authentication.UserBackend"


def client_of(user: User) -> Client:
    """Give a client that is logged in as somebody, whose role may let them in or not."""
    client = Client()
    client.force_login(user, backend=BACKEND)
    return client


def url_of(model: type[models.Model] | models.Model, page: str = "changelist") -> str:
    """Give the address of a model's page, or of a row's."""
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}"
    return reverse(name, args=(model.pk,) if isinstance(model, models.Model) else ())


def form_of(response: Any) -> Any:
    """Give the form of a page."""
    return response.context["adminform"].form


def values_of(response: Any) -> dict[str, str]:
    """Give what a browser would send if the form of a page were submitted as it is."""
    values = {field.html_name: _shown(field) for field in form_of(response)}
    return {name: str(value) for name, value in values.items() if value is not False}


def _shown(field: Any) -> Any:
    is_hidden = not getattr(field.field.widget, "render_value", True)
    return "" if is_hidden or field.value() is None else field.value()


def fill_in(client: Client, url: str, **changes: str) -> Any:
    """Open a form, change some of its values, and save it."""
    return client.post(url, values_of(client.get(url)) | changes)


def errors_of(response: Any) -> dict[str, list[str]]:
    """Give the errors that a form shows, by field; those of no field are under ``__all__``."""
    return {name: list(map(str, errors)) for name, errors in form_of(response).errors.items()}


def notes_of(response: Any) -> list[str]:
    """Give the messages that the next page will show."""
    return [str(note) for note in get_messages(response.wsgi_request)]


def rows_of(response: Any) -> list[Any]:
    """Give the rows of a list."""
    return list(response.context["cl"].result_list)


def run_action(
    client: Client, model: type[models.Model], action: str, *ids: Any, **more: str
) -> Any:
    """Select rows of a list, run an action on them, and confirm it."""
    selected = {"action": action, "_selected_action": [str(each) for each in ids]}
    return client.post(url_of(model), selected | {"index": "0", "post": "yes"} | more)

"""The protocol as a Django app, for its commands and its own two actions."""

from importlib import import_module

from django.apps import AppConfig


class WebApiConfig(AppConfig):
    """Register Echo and NoOp."""

    name = "voicemail_site.webapi"
    label = "webapi"

    def ready(self) -> None:
        import_module("voicemail_site.webapi.actions")

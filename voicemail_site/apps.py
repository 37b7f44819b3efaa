"""The site as a Django app, for its checks."""

from importlib import import_module

from django.apps import AppConfig


class SiteConfig(AppConfig):
    """Register the checks of the deployment."""

    name = "voicemail_site"

    def ready(self) -> None:
        import_module("voicemail_site.checks")

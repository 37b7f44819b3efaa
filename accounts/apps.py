"""The accounts app: who is served, and who may ask."""

from importlib import import_module

from django.apps import AppConfig

from accounts.guards import FixedAccount, SameAccount, watch_migrations


class AccountsConfig(AppConfig):
    """Register the actions, the history's author and the guards."""

    name = "accounts"
    guards = (
        FixedAccount(),
        SameAccount(table="accounts_user", name="user_is_of_its_organizations_account"),
    )

    def ready(self) -> None:
        watch_migrations(self)
        import_module("accounts.actions")

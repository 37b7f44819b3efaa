"""The voicemail app: the boxes themselves."""

from importlib import import_module

from django.apps import AppConfig

from accounts.guards import SameAccount
from voicemail.tally import Tallied

SAME_ACCOUNT = SameAccount(
    table="voicemail_voicemailbox", name="voicemailbox_is_of_its_organizations_account"
)


class VoicemailConfig(AppConfig):
    """Register the actions, the way back from changes, and the guard of a box's account."""

    name = "voicemail"
    guards = (SAME_ACCOUNT, Tallied())

    def ready(self) -> None:
        from accounts.services import organization_renamed
        from voicemail.spool import follow_renaming

        organization_renamed.connect(follow_renaming, dispatch_uid="follow_renaming")
        import_module("voicemail.actions")
        import_module("voicemail.undo")
        # People say mailbox. In the model's Meta these words would be a matter of migrations.
        options = self.get_model("Voicemailbox")._meta
        options.verbose_name, options.verbose_name_plural = "mailbox", "mailboxes"

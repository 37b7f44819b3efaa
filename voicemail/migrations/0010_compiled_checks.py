"""PostgreSQL reads the four longest checks of a box once a connection instead of once a statement.

They refuse what they refused before. They are validated at once, which takes some seconds for a
million boxes: as long as nothing is released, nobody has to wait for it.
"""

from django.db import migrations

from voicemail_site.constraints import CompileChecks


class Migration(migrations.Migration):

    dependencies = [
        ('voicemail', '0009_one_key_for_both'),
    ]

    operations = [
        CompileChecks(
            'Voicemailbox',
            [
                'email_is_one_address',
                'pager_is_one_address',
                'mwi_is_a_user_address',
                'voicemailbox_options_are_known',
            ],
        ),
    ]

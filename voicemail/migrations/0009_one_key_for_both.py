"""On PostgreSQL a box has one foreign key for its account and its organization together.

It says more than one for each of them, which cost 7 us of an added box (voicemail.apps.SAME_ACCOUNT;
it is made after the first migrate). SQLite's triggers ask only when a box is written, so its own
keys stay.
"""

from django.db import migrations


def drop_keys(apps, schema_editor):
    if schema_editor.connection.vendor != 'postgresql':
        return
    model = apps.get_model('voicemail', 'Voicemailbox')
    for column in ('account_id', 'organization_id'):
        for name in schema_editor._constraint_names(model, [column], foreign_key=True):
            schema_editor.execute(schema_editor._delete_fk_sql(model, name))


def make_keys(apps, schema_editor):
    if schema_editor.connection.vendor != 'postgresql':
        return
    model = apps.get_model('voicemail', 'Voicemailbox')
    for name in ('account', 'organization'):
        field = model._meta.get_field(name)
        schema_editor.execute(schema_editor._create_fk_sql(model, field, '_fk_%(to_table)s_%(to_column)s'))


class Migration(migrations.Migration):

    dependencies = [
        ('voicemail', '0008_quicker_checks'),
    ]

    operations = [
        migrations.RunPython(drop_keys, make_keys),
    ]

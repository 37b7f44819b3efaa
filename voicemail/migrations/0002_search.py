"""The search over mailboxes on PostgreSQL, and the indexes of three of the list's filters.

The trigram index is for the expression of ``voicemail.search.SearchText``. PostgreSQL itself keeps
it when a column is renamed or gets another type, but drops it, silently, with a column that it
covers: a migration that removes one, or changes the expression, makes the index anew.
"""

from django.core.management.base import CommandError
from django.db import DatabaseError, migrations, models

NO_EXTENSION = (
    "The search over mailboxes needs PostgreSQL's extension pg_trgm, and it could not be made in "
    "this database. Install PostgreSQL's contrib modules if they are missing, and let a role that "
    "may (the database's owner, or a superuser) run: CREATE EXTENSION pg_trgm; Then migrate again."
)

MAKE = """
    CREATE INDEX IF NOT EXISTS voicemailbox_search ON voicemail_voicemailbox USING gin (
        upper(mailbox::text || ' ' || fullname || ' ' || email || ' ' || pager || ' ' || username
            || '@') gin_trgm_ops)
"""

# With the usual 100 samples, whatever fewer than one box in a hundred has would count as unique.
SAMPLES = "ALTER INDEX voicemailbox_search ALTER COLUMN 1 SET STATISTICS 500"


def make(apps, schema_editor):
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    except DatabaseError as exc:
        raise CommandError(f"{NO_EXTENSION}\nPostgreSQL says: {exc}") from exc
    schema_editor.execute(MAKE)
    schema_editor.execute(SAMPLES)


def drop(apps, schema_editor):
    """Drop the index; the extension stays, as others may use it."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX IF EXISTS voicemailbox_search")


class Migration(migrations.Migration):

    dependencies = [
        ("voicemail", "0001_initial"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="voicemailbox",
            index=models.Index(fields=["modified", "id"], name="voicemailbox_by_age"),
        ),
        migrations.AddIndex(
            model_name="voicemailbox",
            index=models.Index(
                condition=models.Q(("status", "disabled")),
                fields=["account", "mailbox", "id"],
                name="voicemailbox_disabled",
            ),
        ),
        migrations.AddIndex(
            model_name="voicemailbox",
            index=models.Index(
                condition=models.Q(("mwi", ""), _negated=True),
                fields=["account", "mwi", "id"],
                name="voicemailbox_with_mwi",
            ),
        ),
        migrations.RunPython(make, drop),
    ]

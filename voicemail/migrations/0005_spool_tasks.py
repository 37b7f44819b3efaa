"""A task for each PBX that an order is for, instead of a confirmation once it is done.

So an order outlives the organization that it is about, and what is open is found along an index.
"""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q


def give_open_orders(apps, schema_editor):
    """Make the tasks of orders that PBXs had not confirmed."""
    pbxs, orders, tasks = (
        apps.get_model("voicemail", name)._default_manager
        for name in ("Pbx", "SpoolOrder", "SpoolTask")
    )
    for pbx in pbxs.all():
        missing = orders.filter(withdrawn=None)
        if pbx.is_limited:
            missing = missing.filter(organization_id__in=pbx.organizations.values("pk"))
        missing = missing.exclude(pk__in=tasks.filter(pbx=pbx).values("order"))
        tasks.bulk_create(
            (tasks.model(order=order, pbx=pbx) for order in missing.order_by("id").iterator()),
            batch_size=5000,
        )


def drop_open_tasks(apps, schema_editor):
    """Leave the confirmations alone."""
    apps.get_model("voicemail", "SpoolTask")._default_manager.filter(confirmed=None).delete()


class Migration(migrations.Migration):

    dependencies = [
        ("voicemail", "0004_pbx"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="historicalvoicemailbox",
            index=models.Index(fields=["organization", "mailbox", "id"], name="former_boxes_by_number"),
        ),
        migrations.RemoveIndex(model_name="spoolorder", name="spool_order_by_name"),
        migrations.AddIndex(
            model_name="spoolorder",
            index=models.Index(fields=["context", "mailbox"], name="spool_order_by_name"),
        ),
        migrations.AddIndex(
            model_name="spoolorder",
            index=models.Index(fields=["to_context", "to_mailbox"], name="spool_order_by_target"),
        ),
        migrations.AddIndex(
            model_name="spoolorder",
            index=models.Index(fields=["mailbox"], name="spool_order_by_number"),
        ),
        migrations.AddIndex(
            model_name="spoolorder",
            index=models.Index(fields=["to_mailbox"], name="spool_order_by_target_number"),
        ),
        migrations.RemoveConstraint(
            model_name="spoolconfirmation", name="unique_spool_confirmation_of_pbx"
        ),
        migrations.RenameModel(old_name="SpoolConfirmation", new_name="SpoolTask"),
        migrations.RenameField(model_name="spooltask", old_name="created", new_name="confirmed"),
        migrations.AlterField(
            model_name="spooltask",
            name="confirmed",
            field=models.DateTimeField(null=True),
        ),
        migrations.AlterField(
            model_name="spooltask",
            name="order",
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="tasks", to="voicemail.spoolorder"),
        ),
        migrations.AlterField(
            model_name="spooltask",
            name="pbx",
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="voicemail.pbx"),
        ),
        migrations.AddConstraint(
            model_name="spooltask",
            constraint=models.UniqueConstraint(fields=("order", "pbx"), name="unique_spool_task_of_pbx"),
        ),
        migrations.AddIndex(
            model_name="spooltask",
            index=models.Index(condition=Q(confirmed=None), fields=["pbx", "order"], name="spool_task_open"),
        ),
        # Last: with rows that wait for their foreign keys, PostgreSQL alters no table.
        migrations.RunPython(give_open_orders, drop_open_tasks),
    ]

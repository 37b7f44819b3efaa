"""The checks of addresses without look-ahead, which took most of the time of adding a box.

They refuse what they refused before.
"""

import django.db.models.expressions
import django.db.models.functions.text
import django.db.models.lookups
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_changes_by_channel'),
        ('voicemail', '0005_spool_tasks'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='voicemailbox',
            name='email_is_one_address',
        ),
        migrations.RemoveConstraint(
            model_name='voicemailbox',
            name='pager_is_one_address',
        ),
        migrations.RemoveConstraint(
            model_name='voicemailbox',
            name='mwi_is_a_user_address',
        ),
        migrations.AddConstraint(
            model_name='voicemailbox',
            constraint=models.CheckConstraint(condition=models.Q(('email', ''), models.Q(('email__regex', "\\A[A-Za-z0-9!#$%&'*+/=?^_`{}~-]+(?:\\.[A-Za-z0-9!#$%&'*+/=?^_`{}~-]+)*@[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+\\Z"), models.Q(('email__startswith', '-'), _negated=True), django.db.models.lookups.LessThanOrEqual(django.db.models.functions.text.Length('email'), 254)), _connector='OR'), name='email_is_one_address'),
        ),
        migrations.AddConstraint(
            model_name='voicemailbox',
            constraint=models.CheckConstraint(condition=models.Q(('pager', ''), models.Q(('pager__regex', "\\A[A-Za-z0-9!#$%&'*+/=?^_`{}~-]+(?:\\.[A-Za-z0-9!#$%&'*+/=?^_`{}~-]+)*@[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+\\Z"), models.Q(('pager__startswith', '-'), _negated=True), django.db.models.lookups.LessThanOrEqual(django.db.models.functions.text.Length('pager'), 79)), _connector='OR'), name='pager_is_one_address'),
        ),
        migrations.AddConstraint(
            model_name='voicemailbox',
            constraint=models.CheckConstraint(condition=models.Q(('mwi', ''), models.Q(('mwi__regex', '\\A[A-Za-z0-9_-]+(?:\\.[A-Za-z0-9_-]+)*@[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+\\Z'), django.db.models.lookups.LessThanOrEqual(django.db.models.functions.text.StrIndex('mwi', models.Value('@')), 65), django.db.models.lookups.LessThanOrEqual(django.db.models.expressions.CombinedExpression(django.db.models.functions.text.Length('mwi'), '-', django.db.models.functions.text.StrIndex('mwi', models.Value('@'))), 79)), _connector='OR'), name='mwi_is_a_user_address'),
        ),
    ]

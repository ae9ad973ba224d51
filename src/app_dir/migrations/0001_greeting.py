"""The table of greetings."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Makes it."""

    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name='Greeting',
            fields=[
                ('id', models.BigAutoField(
                    auto_created=True, primary_key=True, serialize=False,
                    verbose_name='ID')),
                ('name', models.CharField(max_length=100)),
                ('source', models.CharField(choices=[
                    ('web', 'Web'), ('command', 'Command'),
                    ('worker', 'Worker'), ('beat', 'Beat')], max_length=10)),
                ('created', models.DateTimeField(
                    auto_now_add=True, db_index=True)),
            ],
            options={
                'ordering': ['-created', '-pk'],
            },
        ),
    ]

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("webhooks", "0001_initial"),
    ]

    operations = [
        migrations.AlterField(
            model_name="delivery",
            name="layer",
            field=models.CharField(
                blank=True,
                choices=[
                    (
                        "token",
                        "Token: whether the address is an endpoint's, which is on, with its account and user",
                    ),
                    (
                        "address",
                        "Address: whether the sender's address is one that the endpoint takes signals from",
                    ),
                    ("shape", "Shape: whether the body is what its format takes"),
                    ("timestamp", "Timestamp: whether the signal is as young as the endpoint's window"),
                    ("secret", "Secret: whether the sender knows the endpoint's secret, or signed with it"),
                    ("replay", "Replay: whether the same key came before"),
                    ("rate", "Rate: whether the endpoint has taken as many signals of late as it may"),
                    ("symbol", "Symbol: whether the account's exchange trades it"),
                    ("plan", "Plan: whether the account may place such an order, and as many today"),
                ],
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="deliverycount",
            name="layer",
            field=models.CharField(
                blank=True,
                choices=[
                    (
                        "token",
                        "Token: whether the address is an endpoint's, which is on, with its account and user",
                    ),
                    (
                        "address",
                        "Address: whether the sender's address is one that the endpoint takes signals from",
                    ),
                    ("shape", "Shape: whether the body is what its format takes"),
                    ("timestamp", "Timestamp: whether the signal is as young as the endpoint's window"),
                    ("secret", "Secret: whether the sender knows the endpoint's secret, or signed with it"),
                    ("replay", "Replay: whether the same key came before"),
                    ("rate", "Rate: whether the endpoint has taken as many signals of late as it may"),
                    ("symbol", "Symbol: whether the account's exchange trades it"),
                    ("plan", "Plan: whether the account may place such an order, and as many today"),
                ],
                max_length=10,
            ),
        ),
    ]

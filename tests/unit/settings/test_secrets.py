"""Which texts of the settings must never be shown."""

from __future__ import annotations

from sdk.settings import (
    KafkaOptions,
    RegistryOptions,
    SaslOptions,
    Settings,
    TlsOptions,
)
from sdk.settings.secrets import secrets_of


def test_every_password_token_and_key_is_a_secret() -> None:
    """Those of options, of nested tables, and of tables that pass keys through."""
    settings = Settings(
        environment="test",
        kafka=KafkaOptions(
            bootstrap_servers=("kafka:9092",),
            sasl=SaslOptions(mechanism="PLAIN", username="alice", password="sasl-secret"),
            tls=TlsOptions(certificate_location="a", key_location="b", key_password="key-secret"),
            librdkafka={"sasl.oauthbearer.client.secret": "client-secret", "debug": "broker"},
        ),
        registry=RegistryOptions(
            url=("http://registry",),
            bearer_token="bearer-secret",
            rules={"secret.access.key": "rule-secret", "region": "eu"},
        ),
    )
    assert set(secrets_of(settings)) == {
        "sasl-secret",
        "key-secret",
        "client-secret",
        "bearer-secret",
        "rule-secret",
    }

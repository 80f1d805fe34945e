"""Credentials that no header and no SASL message can carry are refused, and never shown."""

from __future__ import annotations

import traceback
from typing import Any

import pytest

from sdk.errors import AuthenticationError, ConfigurationError
from sdk.kafka.producer import ConfluentProducer
from sdk.redaction import shown
from sdk.settings import (
    KafkaOptions,
    ProducerOptions,
    RegistryOptions,
    SaslOptions,
    TlsOptions,
    load_settings,
)

SECRET = "s3cr3t-of-the-registry"
VARIABLES = {"SDK_REGISTRY__URL": "http://localhost:1", "SDK_KAFKA__BOOTSTRAP_SERVERS": "h:1"}
ENDINGS = ("\n", "\r\n", "\x00", "\x1b[0m", "\x7f", "\u0085")


def text_of(error: BaseException) -> str:
    """Return everything that printing an error may show."""
    return "".join(traceback.format_exception(error)) + repr(error)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    "names",
    [
        ("SDK_REGISTRY__BEARER_TOKEN",),
        ("SDK_REGISTRY__PASSWORD", "SDK_REGISTRY__USERNAME"),
        ("SDK_REGISTRY__USERNAME", "SDK_REGISTRY__PASSWORD"),
        ("SDK_KAFKA__SASL__PASSWORD", "SDK_KAFKA__SASL__USERNAME"),
        ("SDK_KAFKA__SASL__USERNAME", "SDK_KAFKA__SASL__PASSWORD"),
        ("SDK_KAFKA__TLS__KEY_PASSWORD",),
    ],
)
def test_control_characters_are_found_before_the_first_request(
    names: tuple[str, ...], ending: str
) -> None:
    """A secret made with `echo` ends with a line break; the error names the variable alone."""
    values = dict.fromkeys(names, "other") | {names[0]: SECRET + ending}
    if "SASL" in names[0]:
        values["SDK_KAFKA__SASL__MECHANISM"] = "PLAIN"
    with pytest.raises(ConfigurationError) as caught:
        load_settings("production", environ={**VARIABLES, **values})
    assert "control characters" in str(caught.value)
    assert names[0] in str(caught.value)
    assert SECRET not in text_of(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: RegistryOptions(url="http://h:1", bearer_token=f"{SECRET} x"),
        lambda: RegistryOptions(url="http://h:1", bearer_token=f"{SECRET}ü"),
        lambda: RegistryOptions(url="http://h:1", username=f"{SECRET}:x", password="p"),
        lambda: RegistryOptions(url="http://h:1", rules={"secret.access.key": f"{SECRET}\n"}),
        lambda: KafkaOptions(bootstrap_servers="h:1", librdkafka={"sasl.password": f"{SECRET}\n"}),
        lambda: SaslOptions(mechanism="PLAIN", username="u", password=f"{SECRET}\n"),
        lambda: TlsOptions(key_password=f"{SECRET}\n"),
    ],
)
def test_what_no_protocol_carries_is_refused_in_options_made_by_hand(make: Any) -> None:
    """Tokens are ASCII without blanks, users have no colon, and keys passed on are looked at."""
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert SECRET not in text_of(caught.value)


def test_what_protocols_do_carry_is_accepted() -> None:
    """Passwords may hold blanks, colons and letters of any language; keys of a KMS may be PEM."""
    pem = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    RegistryOptions(
        url="http://h:1", username="ü", password="a b:c ü☕", rules={"private.key": pem}
    )
    RegistryOptions(url="http://h:1", bearer_token="eyJhbGciOi.J9-_~+/=")
    KafkaOptions(bootstrap_servers="h:1", librdkafka={"ssl.key.pem": pem})


def test_a_token_with_a_line_break_is_not_given_to_the_client(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The result of a token source is checked like settings."""
    kafka = KafkaOptions(bootstrap_servers="127.0.0.1:9", sasl=SaslOptions(mechanism="OAUTHBEARER"))
    refused: AuthenticationError | None = None
    try:
        # Older clients ask for a token later, and only log that they got none.
        ConfluentProducer(kafka, ProducerOptions(), lambda: (f"{SECRET}\n", 2e9)).close(1)
    except AuthenticationError as error:
        refused = error
    if refused is not None:
        assert "spaces" in str(refused.__cause__)
        assert SECRET not in text_of(refused)
    assert "the OAUTHBEARER token source raised ConfigurationError" in caplog.text
    assert SECRET not in caplog.text


def test_a_refusal_of_librdkafka_shows_no_secret() -> None:
    """Its messages may repeat a value; those of keys that hold secrets are taken out."""
    passed = {"ssl.key.password": SECRET, "sasl.oauthbearer.method": SECRET}
    kafka = KafkaOptions(bootstrap_servers="127.0.0.1:9", librdkafka=passed)
    with pytest.raises(ConfigurationError) as caught:
        ConfluentProducer(kafka, ProducerOptions())
    assert "sasl.oauthbearer.method" in str(caught.value)
    assert SECRET not in text_of(caught.value)


def test_a_cause_that_shows_a_secret_is_left_out() -> None:
    """A stack trace prints the whole chain, so the whole chain is searched."""
    inner = ValueError(f"Illegal header value {SECRET!r}")
    outer = OSError("failed")
    outer.__cause__ = inner
    assert shown(outer, [SECRET]) is None
    assert shown(outer, ["", "another"]) is outer

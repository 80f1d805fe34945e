"""Everything that can be wrong with settings is one clear error, which names file or variable."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from contextlib import chdir
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdk.errors import ConfigurationError
from sdk.settings import (
    KafkaOptions,
    LoggingOptions,
    ProducerOptions,
    RegistryOptions,
    RetryOptions,
    SaslOptions,
    Settings,
    TlsOptions,
    TopicOptions,
    load_settings,
)

ADDRESSES = """
[default.kafka]
bootstrap_servers = "kafka:9092"
[default.registry]
url = "http://registry:8081"
[docker]
"""
SASL = "[docker.kafka.sasl]\nmechanism = 'PLAIN'\nusername = 'u'\n"


def load(folder: Path, text: str = "", **variables: str) -> Settings:
    """Load the environment docker from a file that ends in this text, and from variables."""
    path = folder / "settings.toml"
    path.write_text(ADDRESSES + text)
    return load_settings("docker", settings=path, environ=variables)


def finding(folder: Path, text: str = "", **variables: str) -> str:
    """Return the error that these settings end in, and hold that it is the only one."""
    with pytest.raises(ConfigurationError) as caught:
        load(folder, text, **variables)
    assert "settings of environment" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "path", "near"),
    [
        (
            "[docker.kafka]\nbootsrap_servers = 'a:1'\n",
            "kafka.bootsrap_servers",
            "bootstrap_servers",
        ),
        ("[docker.kafka.tls]\nca_locatoin = 'x'\n", "kafka.tls.ca_locatoin", "ca_location"),
        ("[docker.retry]\nRetry_count = 1\n", "retry.Retry_count", "retry_count"),
        ("[docker.produser]\nacks = 1\n", "produser", "producer"),
        ("[[docker.topics]]\nevnt = 'A'\nevent = 'A'\nname = 'a'\n", "topics[0].evnt", "event"),
    ],
)
def test_unknown_key_in_a_file(tmp_path: Path, text: str, path: str, near: str) -> None:
    """An unknown key is named with its file and table, and the near one is offered."""
    error = finding(tmp_path, text)
    assert f"settings.toml [docker]: {path} is an unknown key" in error
    assert f"did you mean '{near}'?" in error


def test_unknown_key_without_a_near_one(tmp_path: Path) -> None:
    """If no known key is similar, all are listed."""
    assert "known keys: retry_count, base_delay_ms" in finding(tmp_path, "[docker.retry]\nx = 1\n")


def test_unknown_key_in_a_variable(tmp_path: Path) -> None:
    """An unknown key of a variable names the variable."""
    error = finding(tmp_path, SDK_KAFKA__CLIENTID="x")
    assert "SDK_KAFKA__CLIENTID: kafka.clientid is an unknown key" in error
    assert "did you mean 'client_id'?" in error


def test_unknown_table_in_a_variable(tmp_path: Path) -> None:
    """A variable for no table of ours is named."""
    error = finding(tmp_path, SDK_KAFAK__CLIENT_ID="x")
    assert "SDK_KAFAK__CLIENT_ID: kafak is an unknown key" in error
    assert "did you mean 'kafka'?" in error


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("SDK_KAFKA_BOOTSTRAP_SERVERS", "SDK_KAFKA__BOOTSTRAP_SERVERS"),
        ("SDK_KAFKA_SASL_PASSWORD", "SDK_KAFKA__SASL__PASSWORD"),
        ("SDK_RETRY_COUNT", "SDK_RETRY__RETRY_COUNT"),
        ("SDK_EVN", "SDK_ENV"),
    ],
)
def test_variable_with_too_few_underscores(tmp_path: Path, variable: str, meant: str) -> None:
    """A variable whose parts are joined by one underscore is refused, and the right name given."""
    error = finding(tmp_path, **{variable: "s3cret"})
    assert f"{variable}: {variable[4:].lower()} is an unknown key" in error
    assert f"did you mean {meant}" in error
    assert "s3cret" not in error


@pytest.mark.parametrize("name", ["HOME", "ROOT", "VERSION", "PATH", "DIR", "CACHE", "TEST_CACHE"])
def test_variables_of_other_programs(tmp_path: Path, name: str) -> None:
    """A variable that only shares our prefix changes nothing, with a settings file or without."""
    assert load(tmp_path, **{f"SDK_{name}": "x"}) == load(tmp_path)
    with chdir(tmp_path / ".."):
        assert load_settings(environ={f"SDK_{name}": "x"}).environment == "embedded"


def test_table_that_is_no_environment(tmp_path: Path) -> None:
    """A mistyped table at top level, which no environment would read, is found."""
    error = finding(tmp_path, "[kafak]\nbootstrap_servers = 'a:1'\n")
    assert "settings.toml: kafak.bootstrap_servers is an unknown key" in error
    assert "did you mean 'kafka'?" in error


def test_stray_value_at_top_level(tmp_path: Path) -> None:
    """A mistyped key at top level is found."""
    path = tmp_path / "settings.toml"
    path.write_text("contratcs = 'contracts'\n" + ADDRESSES)
    with pytest.raises(ConfigurationError, match=r"settings\.toml: contratcs is an unknown key"):
        load_settings("docker", settings=path, environ={})


def test_global_table(tmp_path: Path) -> None:
    """Dynaconf's [global] is refused rather than passed over."""
    assert "[global] is not read" in finding(tmp_path, "[global.retry]\nretry_count = 1\n")


def test_environment_is_no_key(tmp_path: Path) -> None:
    """The environment's name cannot be set by a key, and what may have been meant is said."""
    error = finding(tmp_path, SDK_ENVIRONMENT="x")
    assert "environment is an unknown key" in error
    assert error.endswith("did you mean SDK_ENV?")


@pytest.mark.parametrize(
    ("table", "line", "told"),
    [
        ("docker.retry", "retry_count = 'five'", "be a whole number, but is text"),
        ("docker.retry", "retry_count = 5.0", "be a whole number, but is a decimal number"),
        ("docker.retry", "retry_count = true", "be a whole number, but is true or false"),
        ("docker.retry", "jitter = nan", "be a finite number"),
        ("docker.kafka", "client_id = 7", "be text, but is a whole number"),
        ("docker.kafka", "client_id = 2026-01-01", "be text, but is a date or time"),
        ("docker.kafka", "bootstrap_servers = 9092", "be text or a list of texts, but is a whole"),
        ("docker.kafka", "tls = 'yes'", "be a table, but is text"),
        ("docker.producer", "acks = true", "be one of all, 1, 0, not 'true'"),
        ("docker.producer", "cloud_events = 1", "be true or false, but is a whole number"),
        ("docker.logging", "overrides = 'DEBUG'", "be a table, but is text"),
        ("docker", "retry = 5", "be a table, but is a whole number"),
        ("docker", "topics = 'orders'", "be a list of tables, but is text"),
    ],
)
def test_wrong_type(tmp_path: Path, table: str, line: str, told: str) -> None:
    """A value of the wrong type is told with its place, what was declared and what was found."""
    key = ".".join([*table.split(".")[1:], line.partition(" ")[0]])
    text = line if table == "docker" else f"[{table}]\n{line}"
    assert f"settings.toml [docker]: {key} must {told}" in finding(tmp_path, text)


def test_wrong_type_inside_a_list(tmp_path: Path) -> None:
    """The place inside a list is told as well."""
    assert "[docker]: topics[0] must be a table, but is text" in finding(tmp_path, "topics = ['a']")
    error = finding(tmp_path, "[docker.kafka]\nbootstrap_servers = ['a:1', 2]\n")
    assert "[docker]: kafka.bootstrap_servers[1] must be text, but is a whole number" in error


def test_table_with_a_missing_key(tmp_path: Path) -> None:
    """A table that needs a key cannot be switched on by `true`."""
    error = finding(tmp_path, "[docker.kafka]\nsasl = true\n")
    assert "kafka.sasl.mechanism is missing in environment 'docker'" in error
    assert "SDK_KAFKA__SASL__MECHANISM" in error


@pytest.mark.parametrize("value", ["1e5", "true", "True", "1.10", "42", "2026-01-01", "[1]", "inf"])
def test_text_that_was_cast(tmp_path: Path, value: str) -> None:
    """A password that dynaconf read as something else is refused, and how to quote it is said."""
    error = finding(tmp_path, SASL, SDK_KAFKA__SASL__PASSWORD=value)
    assert "SDK_KAFKA__SASL__PASSWORD: kafka.sasl.password must be text" in error
    assert "quote it twice: SDK_KAFKA__SASL__PASSWORD='\"...\"'" in error


@pytest.mark.parametrize("value", ["1e5", "true", "1.10", "2026-01-01", "[1]"])
def test_text_that_was_quoted(tmp_path: Path, value: str) -> None:
    """The same password in quotes is unchanged."""
    settings = load(tmp_path, SASL, SDK_KAFKA__SASL__PASSWORD=f'"{value}"')
    assert settings.kafka.sasl is not None
    assert settings.kafka.sasl.password == value


@pytest.mark.parametrize(
    "value",
    ["00123", "@int 5", "@format {env[HOME]}", "a,b", "p@ss#w", '{"a":1}', "[a", "=", " x ", "£☃"],
)
def test_text_that_needs_no_quotes(tmp_path: Path, value: str) -> None:
    """A password that only looks odd is unchanged."""
    settings = load(tmp_path, SASL, SDK_KAFKA__SASL__PASSWORD=value)
    assert settings.kafka.sasl is not None
    assert settings.kafka.sasl.password == value


def test_text_that_was_cast_in_a_file(tmp_path: Path) -> None:
    """In a file, where a number is a number, plain quotes are what is missing."""
    error = finding(tmp_path, SASL + "password = 1e5\n")
    assert "settings.toml [docker]: kafka.sasl.password must be text" in error
    assert error.endswith("Remedy: to keep it text, write it in quotes")


def test_text_after_the_closing_quote(tmp_path: Path) -> None:
    """A quoted value with more behind it is refused, since TOML would drop the rest."""
    error = finding(tmp_path, SASL, SDK_KAFKA__SASL__PASSWORD="'abc'#def")
    assert "SDK_KAFKA__SASL__PASSWORD has text after its closing quote" in error


def test_number_as_token(tmp_path: Path) -> None:
    """A token of dynaconf's where a number is meant is refused with a word about tokens."""
    error = finding(tmp_path, SDK_RETRY__RETRY_COUNT="@int 5")
    assert "must be a whole number, but is text" in error
    assert "tokens such as @int are not evaluated" in error


def test_empty_part_of_a_variable(tmp_path: Path) -> None:
    """A variable with too many underscores is refused."""
    assert "SDK_KAFKA___CLIENT_ID has an empty part" in finding(tmp_path, SDK_KAFKA___CLIENT_ID="x")


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("SDK_RETRY__RETRY_COUNT", "-1", "must be between 0 and 1000, not -1"),
        ("SDK_RETRY__JITTER", "1.5", "must be between 0 and 1, not 1.5"),
        ("SDK_RETRY__MAX_DELAY_MS", "10", "must be at least base_delay_ms (100), not 10"),
        ("SDK_REGISTRY__TIMEOUT_MS", "0", "must be between 1 and"),
        ("SDK_PRODUCER__DELIVERY_TIMEOUT_MS", "0", "must be between 1 and 2147483647, not 0"),
        ("SDK_PRODUCER__LINGER_MS", "-0.5", "must be between 0 and 900000, not -0.5"),
        ("SDK_PRODUCER__FORMAT", "avor", "must be one of avro, json, not 'avor'"),
        ("SDK_PRODUCER__ACKS", "2", "must be one of all, 1, 0, not '2'"),
        ("SDK_CONSUMER__AUTO_OFFSET_RESET", "earlist", "did you mean 'earliest'?"),
        ("SDK_CONSUMER__GROUP_ID", "", "must not be empty"),
        ("SDK_KAFKA__BOOTSTRAP_SERVERS", "", "must not be empty"),
        ("SDK_KAFKA__BOOTSTRAP_SERVERS", "a:1,,b:2", "an empty entry"),
        ("SDK_KAFKA__BOOTSTRAP_SERVERS", "a:99999", "has an entry that is not host:port"),
        ("SDK_KAFKA__BOOTSTRAP_SERVERS", "a:65536", "has an entry that is not host:port"),
        ("SDK_KAFKA__BOOTSTRAP_SERVERS", "a:0", "has an entry that is not host:port"),
        ("SDK_KAFKA__LIBRDKAFKA", "debug", "kafka.librdkafka must be a table, but is text"),
        ("SDK_REGISTRY__URL", "http://registry:0", "not an http:// or https:// URL"),
        ("SDK_TOPICS", "[{", "topics must be a list of tables"),
        ("SDK_REGISTRY", "x", "registry must be a table, but is text"),
        ("SDK_ROUTING__TEMPLATE", "", "must not be empty"),
        ("SDK_SOURCE", "http://[", "must be a URI reference"),
        ("SDK_KAFKA__BOOTSTRAP_SERVERS", "http://a:1/x", "has an entry that is not host:port"),
        ("SDK_KAFKA__BOOTSTRAP_SERVERS", "kafka://a:9092", "write host:port without kafka://"),
        ("SDK_KAFKA__BOOTSTRAP_SERVERS", "embedded,a:1", "mixes 'embedded' with addresses"),
        ("SDK_REGISTRY__URL", "registry:8081", "not an http:// or https:// URL"),
        ("SDK_REGISTRY__URL", "http://[::1", "not an http:// or https:// URL"),
        ("SDK_REGISTRY__URL", "embedded,http://a", "mixes 'embedded' with URLs"),
        ("SDK_REGISTRY__USERNAME", "u", "registry.password is needed for basic authentication"),
        ("SDK_KAFKA__TLS__KEY_LOCATION", "k", "certificate_location and key_location belong"),
        ("SDK_KAFKA__SASL__MECHANISM", "GSSAPI", "must be one of PLAIN"),
        ("SDK_LOGGING__LEVEL", "LOUD", "must be one of DEBUG"),
        ("SDK_LOGGING__OVERRIDES", '{"a" = "loud"}', "must be one of DEBUG"),
        ("SDK_CONTRACTS", "my-contracts", "must be a module name"),
        ("SDK_SOURCE", "https://u:p@host/x", "must not contain a user or password"),
        ("SDK_SOURCE", "two words", "must be a URI reference"),
        (
            "SDK_ROUTING__TEMPLATE",
            "{topic}",
            "routing.template has the unknown placeholder {topic}",
        ),
        ("SDK_TOPICS", "[{event='A', name='a b'}]", "topics[0].name must be a topic name"),
        ("SDK_ROUTING__STRATEGY", "explict", "did you mean 'explicit'?"),
        ("SDK_TOPICS", "[{event='A', name='a', partitions=0}]", "topics[0].partitions must be"),
    ],
)
def test_out_of_range(tmp_path: Path, variable: str, value: str, told: str) -> None:
    """A value out of its range is told with the range, and with where it was written."""
    error = finding(tmp_path, **{variable: value})
    assert told in error
    assert error.startswith(f"{variable}: ")


def test_contradiction(tmp_path: Path) -> None:
    """Two settings that exclude each other are told, and what to do about it."""
    error = finding(tmp_path, SDK_PRODUCER__ACKS="1")
    assert "SDK_PRODUCER__ACKS: producer.enable_idempotence needs acks = 'all'" in error
    assert "set enable_idempotence = false as well" in error


def test_missing_address(tmp_path: Path) -> None:
    """A missing value is told with both ways to give it."""
    path = tmp_path / "settings.toml"
    path.write_text("[docker.registry]\nurl = 'http://registry:8081'\n")
    with pytest.raises(ConfigurationError) as caught:
        load_settings("docker", settings=path, environ={})
    assert caught.value.message == "kafka.bootstrap_servers is missing in environment 'docker'"
    assert caught.value.remedy is not None
    assert "[docker.kafka]" in caught.value.remedy
    assert "SDK_KAFKA__BOOTSTRAP_SERVERS" in caught.value.remedy


def test_missing_password(tmp_path: Path) -> None:
    """SASL with a user and without a password is told."""
    assert "kafka.sasl.password is needed for PLAIN" in finding(tmp_path, SASL)


def test_oauthbearer_needs_no_user(tmp_path: Path) -> None:
    """OAUTHBEARER gets its token from a callback."""
    settings = load(tmp_path, "[docker.kafka.sasl]\nmechanism = 'OAUTHBEARER'\n")
    assert settings.kafka.sasl == SaslOptions(mechanism="OAUTHBEARER")


def test_everything_is_reported_at_once(tmp_path: Path) -> None:
    """Several findings come in one error, each with its place."""
    with pytest.raises(ConfigurationError) as caught:
        load(
            tmp_path,
            "[docker.kafka]\nclientid = 'x'\n[docker.consumer]\nmax_poll_records = 'x'\n",
            SDK_RETRY__JITTER="7",
        )
    error = str(caught.value)
    assert error.startswith("3 settings of environment 'docker' are wrong:")
    assert "settings.toml [docker]: kafka.clientid" in error
    assert "settings.toml [docker]: consumer.max_poll_records" in error
    assert "SDK_RETRY__JITTER: retry.jitter" in error


def test_largest_number(tmp_path: Path) -> None:
    """Milliseconds go up to what librdkafka takes."""
    assert load(tmp_path, SDK_PRODUCER__DELIVERY_TIMEOUT_MS=str(2**31 - 1))
    error = finding(tmp_path, SDK_PRODUCER__DELIVERY_TIMEOUT_MS=str(2**31))
    assert "must be between 1 and 2147483647, not 2147483648" in error


@pytest.mark.parametrize("acks", ["'all'", "-1"])
def test_acks_all(tmp_path: Path, acks: str) -> None:
    """Acks = -1 is the same as all."""
    assert load(tmp_path, f"[docker.producer]\nacks = {acks}\n").producer.acks == "all"


@pytest.mark.parametrize("acks", ["'1'", "1"])
def test_acks_as_a_number(tmp_path: Path, acks: str) -> None:
    """Acks may be written as a number."""
    text = f"[docker.producer]\nacks = {acks}\nenable_idempotence = false\n"
    assert load(tmp_path, text).producer.acks == "1"


def test_librdkafka_keys_pass_through(tmp_path: Path) -> None:
    """Keys with a dot reach librdkafka as they are, of whatever type."""
    settings = load(
        tmp_path,
        "[docker.kafka]\n'socket.keepalive.enable' = true\n"
        "[docker.producer]\n'linger.ms' = 5\n'message.max.bytes' = 2_000_000\n"
        "[docker.producer.librdkafka]\nretries = 3\n"
        "[docker.consumer]\n'fetch.wait.max.ms' = 10\n",
        SDK_PRODUCER__LIBRDKAFKA__MESSAGE_MAX_BYTES="9",
        SDK_KAFKA__LIBRDKAFKA__CLIENT_DNS_LOOKUP="use_all_dns_ips",
    )
    assert settings.kafka.librdkafka == {
        "socket.keepalive.enable": True,
        "client.dns.lookup": "use_all_dns_ips",
    }
    assert settings.producer.librdkafka == {
        "linger.ms": 5,
        "message.max.bytes": 9,
        "retries": 3,
    }
    assert settings.consumer.librdkafka == {"fetch.wait.max.ms": 10}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[docker.kafka]\n'bootstrap.servers' = 'x'\n", "use [kafka] bootstrap_servers"),
        ("[docker.kafka]\n'security.protocol' = 'SSL'\n", "[kafka.tls] and [kafka.sasl]"),
        ("[docker.kafka]\n'sasl.password' = 'hunter2'\n", "use [kafka.sasl] password"),
        ("[docker.producer]\n'enable.idempotence' = false\n", "use [producer] enable_idempotence"),
        ("[docker.consumer]\n'enable.auto.commit' = true\n", "after the handler has succeeded"),
        (
            "[docker.consumer]\n'group.id' = 'g'\n",
            "is set by the SDK. Remedy: use [consumer] group_id",
        ),
        ("[docker.producer]\n'queue.buffering.max.ms' = 5\nlinger_ms = 5\n", "same as linger_ms"),
        ("[docker.kafka]\n'linger.ms' = 5\n", "use [producer] linger_ms"),
        ("[docker.kafka]\nacks = 1\n", "use [producer] acks"),
        ("[docker.producer]\n'transactional.id' = 't'\n", "use [producer] transactional_id"),
        (
            "[docker.kafka.librdkafka]\ntransactional_id = 't'\n",
            "use [producer] transactional_id",
        ),
        (
            "[docker.producer]\ntransactional_id = 't'\nenable_idempotence = false\n",
            "transactional_id needs enable_idempotence = true",
        ),
        ("[docker.producer]\ntransactional_id = '{host}'\n", "unknown placeholder {host}"),
    ],
)
def test_librdkafka_keys_of_ours(tmp_path: Path, text: str, told: str) -> None:
    """A key that the SDK sets itself is refused, and our setting is named."""
    error = finding(tmp_path, text)
    assert told in error
    assert "hunter2" not in error


def test_librdkafka_key_said_twice(tmp_path: Path) -> None:
    """A setting of ours and librdkafka's name for it exclude each other."""
    error = finding(tmp_path, "[docker.producer]\nlinger_ms = 1\n'linger.ms' = 5\n")
    assert "producer.linger.ms means the same as linger_ms" in error


def test_librdkafka_keys_without_a_dot(tmp_path: Path) -> None:
    """The few keys of librdkafka that have no dot pass through like the others."""
    settings = load(
        tmp_path,
        "[docker.producer]\npartitioner = 'consistent'\n",
        SDK_KAFKA__DEBUG="broker",
        SDK_KAFKA__LIBRDKAFKA__LOG_LEVEL="7",
    )
    assert settings.producer.librdkafka == {"partitioner": "consistent"}
    assert settings.kafka.librdkafka == {"debug": "broker", "log_level": 7}


def test_librdkafka_alias(tmp_path: Path) -> None:
    """A key under another of librdkafka's names takes the place of our default all the same."""
    settings = load(tmp_path, "[docker.producer]\n'queue.buffering.max.ms' = 7\n")
    assert settings.producer.librdkafka == {"linger.ms": 7}


def test_librdkafka_key_without_quotes(tmp_path: Path) -> None:
    """A dotted key without quotes, which is a table in TOML, is explained."""
    error = finding(tmp_path, "[docker.producer]\nmax.in.flight = 5\n")
    assert "producer.max is an unknown key" in error
    assert "in quotes" in error


@pytest.mark.parametrize(
    ("written", "passed"),
    [("1e5", "1e5"), ("1.10", "1.10"), ("007", "007"), ("2026-01-01", "2026-01-01"), ('"1"', "1")],
)
def test_librdkafka_value_as_written(tmp_path: Path, written: str, passed: str) -> None:
    """A passed value that a cast would change stays the text that it is: it may be a secret."""
    settings = load(tmp_path, SDK_KAFKA__LIBRDKAFKA__SASL_OAUTHBEARER_CLIENT_SECRET=written)
    assert settings.kafka.librdkafka == {"sasl.oauthbearer.client.secret": passed}


def test_rule_settings_in_a_variable(tmp_path: Path) -> None:
    """Keys of the rule executors, which have dots, can be given in variables."""
    settings = load(tmp_path, SDK_REGISTRY__RULES__SECRET_ACCESS_KEY="s3cret")
    assert settings.registry.rules == {"secret.access.key": "s3cret"}
    assert "s3cret" not in repr(settings)


def test_wrong_type_inside_a_table(tmp_path: Path) -> None:
    """Tables of any keys are as strict about text as single settings."""
    error = finding(tmp_path, SDK_REGISTRY__RULES__SECRET="1e5")
    assert "SDK_REGISTRY__RULES__SECRET: registry.rules.secret must be text" in error
    assert "quote it twice" in error


def test_librdkafka_value_of_no_use(tmp_path: Path) -> None:
    """Librdkafka takes no lists and tables."""
    error = finding(tmp_path, "[docker.kafka]\n'debug.x' = ['a']\n")
    assert "settings.toml [docker]: kafka.debug.x must be text, a number, or true or false" in error


def test_userinfo_moves(tmp_path: Path) -> None:
    """User and password inside the registry's URL move to where they are not shown."""
    settings = load(tmp_path, SDK_REGISTRY__URL="https://us%40er:p%3Aw@host:8081/sr")
    assert settings.registry.url == ("https://host:8081/sr",)
    assert (settings.registry.username, settings.registry.password) == ("us@er", "p:w")
    assert "p:w" not in repr(settings)


def test_userinfo_said_alike(tmp_path: Path) -> None:
    """The same credentials in two places, or in two URLs, are no contradiction."""
    settings = load(
        tmp_path,
        SDK_REGISTRY__URL="https://u:p@a,https://u:p@b",
        SDK_REGISTRY__USERNAME="u",
        SDK_REGISTRY__PASSWORD="p",
    )
    assert settings.registry.url == ("https://a", "https://b")
    assert (settings.registry.username, settings.registry.password) == ("u", "p")


def test_userinfo_beside_another_user(tmp_path: Path) -> None:
    """Credentials in the URL and others beside it are refused without being shown."""
    error = finding(
        tmp_path,
        SDK_REGISTRY__URL="https://u:s3cret@a",
        SDK_REGISTRY__USERNAME="u",
        SDK_REGISTRY__PASSWORD="s3cret2",
    )
    assert "registry.url has a user that contradicts another" in error
    assert "s3cret" not in error


def test_userinfo_twice(tmp_path: Path) -> None:
    """Credentials that contradict each other are refused without being shown."""
    error = finding(tmp_path, SDK_REGISTRY__URL="https://u:pass1@a,https://u:pass2@b")
    assert "SDK_REGISTRY__URL: registry.url has a user that contradicts another" in error
    assert "pass" not in error.replace("password", "")


SECRETS: Mapping[str, str] = {
    "SDK_KAFKA__SASL__PASSWORD": "s3cret-one",
    "SDK_KAFKA__TLS__KEY_PASSWORD": "s3cret-two",
    "SDK_REGISTRY__URL": "https://user:s3cret-three@host",
    "SDK_KAFKA__LIBRDKAFKA__SASL_OAUTHBEARER_CLIENT_SECRET": "s3cret-four",
}


def test_secrets_are_not_in_a_repr(tmp_path: Path) -> None:
    """No secret shows in the repr of the settings."""
    settings = load(tmp_path, SASL, **SECRETS)
    assert settings.registry.password == "s3cret-three"
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize("variable", [*SECRETS, "SDK_REGISTRY__BEARER_TOKEN"])
@pytest.mark.parametrize("value", ["[1, 's3cret']", "{a = 's3cret'}", "s3cret@s3cret:x://"])
def test_secrets_are_not_in_an_error(tmp_path: Path, variable: str, value: str) -> None:
    """No secret shows in an error about it or beside it, its causes and notes included."""
    variables = {**SECRETS, variable: value, "SDK_RETRY__JITTER": "7"}
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, SASL, **variables)
    told = "".join(traceback.format_exception(caught.value))
    assert "SDK_RETRY__JITTER" in told
    assert "s3cret" not in told


SECRET_VARIABLES = [
    "SDK_KAFKA__SASL__PASSWORD",
    "SDK_KAFKA__TLS__KEY_PASSWORD",
    "SDK_KAFKA__LIBRDKAFKA__SASL_OAUTHBEARER_CLIENT_SECRET",
    "SDK_REGISTRY__URL",
    "SDK_REGISTRY__PASSWORD",
    "SDK_REGISTRY__BEARER_TOKEN",
    "SDK_REGISTRY__RULES",
]
OTHER_VARIABLES = [
    *("SDK_KAFKA", "SDK_KAFKA__TLS", "SDK_KAFKA__SASL", "SDK_KAFKA__SASL__MECHANISM"),
    *(
        "SDK_PRODUCER",
        "SDK_PRODUCER__ACKS",
        "SDK_PRODUCER__LINGER_MS",
        "SDK_TOPICS",
        "SDK_TOPICS__0",
    ),
    *("SDK_REGISTRY__USERNAME", "SDK_REGISTRY__TIMEOUT_MS", "SDK_LOGGING__OVERRIDES__SDK"),
    *("SDK_ROUTING__TEMPLATE", "SDK_CONTRACTS", "SDK_SOURCE", "SDK_", "SDK__", "SDK_X__Y"),
]
ODD_VALUES = st.sampled_from(
    ["", "1", "-1", "1e5", "true", "nan", "[]", "[1]", "{}", "{a = 1}", "[{}]", "PLAIN", "//", ",",
     "[{event = 'A', name = 'a'}]", '{"a": [1]}', "2026-01-01", "@int 5", "{domain", "embedded",
     "http://h:99999", "https://[x", "http://u:p@h", "9" * 5000, "[" * 2000, "\x00"]
) | st.text(max_size=20)  # fmt: skip
WITH_SECRET = st.sampled_from(
    ["{}", "'{}'", "'{}", "'{}'x", "[1, '{}']", "{{a = '{}'}}", "{{a = {{b = ['{}']}}}}", "@int {}",
     "http://u:{}@h", "http://u:{}@h,http://v:w@h", "https://{}:[", "u:{}@h:1", "{}\n", "1 # {}"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(OTHER_VARIABLES), ODD_VALUES, max_size=3),
    st.dictionaries(st.sampled_from(SECRET_VARIABLES), WITH_SECRET, max_size=2),
)
def test_any_variables(others: dict[str, str], secrets: dict[str, str]) -> None:
    """Whatever the variables hold, settings load or the error is ours, and no secret shows."""
    environ = {**others, **{name: text.format("s3cret") for name, text in secrets.items()}}
    addresses = {
        "SDK_KAFKA__BOOTSTRAP_SERVERS": "kafka:9092",
        "SDK_REGISTRY__URL": "http://registry:8081",
    }
    try:
        told = repr(load_settings("docker", settings=(), environ={**addresses, **environ}))
    except ConfigurationError as error:
        told = "".join(traceback.format_exception(error))
    assert "s3cret" not in told


def test_credentials_in_a_server_address(tmp_path: Path) -> None:
    """Credentials in a broker's address are refused, unseen."""
    error = finding(tmp_path, SDK_KAFKA__BOOTSTRAP_SERVERS="user:s3cret@kafka:9092")
    assert "credentials belong in [kafka.sasl]" in error
    assert "s3cret" not in error


@pytest.mark.parametrize("servers", ["a:1,b:2", ["a:1", "b:2"], ("a:1", "b:2")])
def test_options_take_one_or_several(servers: str | list[str]) -> None:
    """Options made by hand take one text, with commas, or several, as settings files do."""
    assert KafkaOptions(bootstrap_servers=servers).bootstrap_servers == ("a:1", "b:2")
    assert RegistryOptions(url="http://h:1").url == ("http://h:1",)
    assert KafkaOptions(bootstrap_servers="embedded").embedded
    assert RegistryOptions(url="embedded").auto_register
    route = TopicOptions(event="A", name="a")
    kafka, registry = KafkaOptions(bootstrap_servers="a:1"), RegistryOptions(url="http://h:1")
    made = Settings(environment="x", kafka=kafka, registry=registry, topics=route)
    assert made.topics == (route,)


def test_options_check_themselves() -> None:
    """Options made in code are checked by the same rules."""
    for make in (
        lambda: RetryOptions(retry_count=-1),
        lambda: ProducerOptions(format="xml"),
        lambda: KafkaOptions(bootstrap_servers=()),
        lambda: RegistryOptions(url=("http://u:p@host",)),
        lambda: TlsOptions(certificate_location="c"),
        lambda: LoggingOptions(overrides={"sdk": "loud"}),
    ):
        with pytest.raises(ConfigurationError) as caught:
            make()
        assert caught.value.path is not None

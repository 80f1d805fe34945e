"""Options → librdkafka's configuration, and its errors → names of our settings."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from confluent_kafka import KafkaException, libversion

from sdk.abstractions import TokenSource
from sdk.errors import AuthenticationError, ConfigurationError, SdkError
from sdk.happenings import Happening, StatisticsReported
from sdk.kafka.health import ClientHealth, client_logger
from sdk.redaction import hide, shown
from sdk.settings import ConsumerOptions, KafkaOptions, ProducerOptions, SaslOptions, TlsOptions
from sdk.settings.checking import is_token
from sdk.settings.librdkafka import BY_NAME, configured
from sdk.threads import require_os_threads

Client = TypeVar("Client")

PassedKeys = Mapping[str, Mapping[str, Any]]
"""Settings table → the librdkafka keys that it passes through."""

_SECRET_KEY = re.compile(r"password|secret|pem$")
_CLASSIC_ONLY = (
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "partition.assignment.strategy",
    "group.protocol.type",
)


def producer_config(
    kafka: KafkaOptions,
    producer: ProducerOptions,
    token: TokenSource | None = None,
    transactional_id: str | None = None,
) -> dict[str, Any]:
    """Return the configuration of a producing client, transactional with an id.

    Raises:
        ConfigurationError: OAUTHBEARER without a token source.
    """
    config = {
        **common_config(kafka, token),
        **configured("producer", producer),
        # Java's default placement, so that both put a key into the same partition.
        "partitioner": "murmur2_random",
        **producer.librdkafka,
        "transactional.id": transactional_id,
    }
    limit = config["transaction.timeout.ms"]
    if transactional_id is None:
        del config["transactional.id"], config["transaction.timeout.ms"]
        return config
    # Nothing may take longer than the transaction; librdkafka refuses what could.
    for key, default in (("delivery.timeout.ms", limit), ("socket.timeout.ms", 60_000)):
        config[key] = min(int(config.get(key, default)), limit)
    return config


def consumer_config(
    kafka: KafkaOptions,
    consumer: ConsumerOptions,
    group_id: str,
    token: TokenSource | None = None,
    read_committed: bool | None = None,
) -> dict[str, Any]:
    """Return the configuration of a consuming client.

    Raises:
        ConfigurationError: OAUTHBEARER without a token source, or an empty group id.
    """
    if not group_id:
        # librdkafka would end the process here.
        raise ConfigurationError(
            "the consumer group id is empty", remedy="set consumer.group_id, or name a group"
        )
    ordered = consumer.retry_topics is not None and consumer.retry_topics.ordered
    by_broker = consumer.group_protocol == "consumer"
    config = {
        **common_config(kafka, token),
        **configured("consumer", consumer),
        "group.id": group_id,
        # Ordered retries need a partition and the same one of its retry topics to have one owner.
        "partition.assignment.strategy": "range" if ordered else "cooperative-sticky",
        **({"group.remote.assignor": "range"} if ordered and by_broker else {}),
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        # The default of 1,000 ms makes a fast consumer about nine times slower.
        "fetch.queue.backoff.ms": 5,
        # A subscribed topic created later is noticed within this time, not within 5 minutes.
        "topic.metadata.refresh.interval.ms": 5_000,
        **consumer.librdkafka,
    }
    if read_committed is not None:
        config["isolation.level"] = "read_committed" if read_committed else "read_uncommitted"
    if read_committed:
        # librdkafka would reset offsets without need: see sdk.kafka.starting_offsets.
        config["auto.offset.reset"] = "error"
        strategy = str(config["partition.assignment.strategy"])
        if "cooperative" not in strategy and not by_broker:
            raise ConfigurationError(
                f"exactly once does not work with partition.assignment.strategy = {strategy!r}",
                remedy="use cooperative-sticky, which is the default",
            )
    if config["group.protocol"] == "consumer":
        # The broker decides these, and librdkafka refuses them under this protocol.
        for key in _CLASSIC_ONLY:
            config.pop(key, None)
    return config


def statistics_config(
    interval_ms: int, client: str, notify: Callable[[Happening], None]
) -> dict[str, Any]:
    """Return the settings for a client's statistics; empty if the interval is 0.

    Args:
        interval_ms: Interval, milliseconds.
        client: Name of the client in `StatisticsReported`.
        notify: Called with `StatisticsReported`.
    """
    if not interval_ms:
        return {}

    def report(document: str) -> None:
        notify(StatisticsReported(client, json.loads(document)))

    return {"statistics.interval.ms": interval_ms, "stats_cb": report}


def common_config(kafka: KafkaOptions, token: TokenSource | None = None) -> dict[str, Any]:
    """Return the configuration of every client: servers, id, TLS and SASL.

    Raises:
        ConfigurationError: OAUTHBEARER without a token source.
    """
    config = configured("kafka", kafka)
    config["bootstrap.servers"] = ",".join(kafka.bootstrap_servers)
    security = ("SASL_" if kafka.sasl else "") + ("SSL" if kafka.tls else "PLAINTEXT")
    config["security.protocol"] = security
    if kafka.tls is not None:
        config |= _tls(kafka.tls)
    if kafka.sasl is not None:
        config |= _sasl(kafka.sasl, token, kafka.librdkafka)
    return config | dict(kafka.librdkafka)


def make_client(
    client_class: Callable[..., Client],
    config: Mapping[str, Any],
    passed: PassedKeys,
    health: ClientHealth,
) -> Client:
    """Create a client of librdkafka; its log lines go to the logger ``sdk.librdkafka``.

    Args:
        client_class: ``Producer``, ``Consumer`` or ``AdminClient``.
        config: Keys of librdkafka.
        passed: The keys that were passed through, so that an error can name their table.
        health: Receives the client's errors and log lines.

    Raises:
        ConfigurationError: librdkafka refuses a key or a value, or threads have been patched.
        AuthenticationError: The first token could not be fetched.
    """
    require_os_threads()
    values = {
        key: str(value).lower() if isinstance(value, bool) else value
        for key, value in config.items()
    }
    try:
        return client_class({**values, "error_cb": health.record}, logger=health)
    except KafkaException as error:
        tokens = config.get("oauth_cb")
        if isinstance(tokens, _TokenCallback) and tokens.failure is not None:
            raise AuthenticationError(
                f"the OAUTHBEARER token source raised {type(tokens.failure).__qualname__}",
                remedy="see its cause; correct what was passed as token=... to sdk.connect",
            ) from tokens.failure
        raise _refused(error, config, passed) from shown(error, _secrets(config))
    except (TypeError, ValueError) as error:
        text = hide(str(error), _secrets(config))
        raise ConfigurationError(
            f"no Kafka client can be created with the settings: {text}"
        ) from shown(error, _secrets(config))


def _secrets(config: Mapping[str, Any]) -> list[str]:
    return [str(value) for key, value in config.items() if _SECRET_KEY.search(key)]


def _tls(tls: TlsOptions) -> dict[str, Any]:
    config = configured("kafka.tls", tls)
    if not tls.verify:
        config["ssl.endpoint.identification.algorithm"] = "none"
    return config


def _sasl(
    sasl: SaslOptions, token: TokenSource | None, passed: Mapping[str, Any]
) -> dict[str, Any]:
    config = configured("kafka.sasl", sasl)
    if sasl.mechanism != "OAUTHBEARER":
        return config
    if token is not None:
        return config | {"oauth_cb": _TokenCallback(token)}
    if any(key.startswith("sasl.oauthbearer.") for key in passed):
        return config
    raise ConfigurationError(
        "kafka.sasl.mechanism is OAUTHBEARER and there is no token",
        remedy="pass token=... to sdk.connect, or set sasl.oauthbearer.method = 'oidc' and the"
        " related keys in [kafka.librdkafka]",
    )


class _TokenCallback:
    """Fetches tokens and keeps the error, which the client does not report."""

    def __init__(self, source: TokenSource) -> None:
        self._source = source
        self.failure: Exception | None = None

    def __call__(self, _config: str) -> tuple[str, float]:
        try:
            token, expires = self._source()
            if not is_token(token):
                raise ConfigurationError("a token must consist of ASCII characters without spaces")
            until = expires.timestamp() if isinstance(expires, datetime) else float(expires)
        except Exception as error:
            self.failure = error
            client_logger.error("the OAUTHBEARER token source raised %s", type(error).__qualname__)
            raise
        self.failure = None
        return token, until


def _refused(error: KafkaException, config: Mapping[str, Any], passed: PassedKeys) -> SdkError:
    """Return the error of a refused key, naming the setting it came from."""
    text = hide(" ".join(error.args[0].str().split()), _secrets(config))
    known = {*config, *BY_NAME}
    named = [word for word in re.findall(r"[a-z][a-z0-9.]*[a-z0-9]", text) if word in known]
    if not named:
        return ConfigurationError(
            f"librdkafka refuses the settings: {text}", remedy="correct what it names"
        )
    # A word such as "acks" may be in the text by chance: dotted keys are more reliable.
    key = next((word for word in named if "." in word), named[0])
    key = BY_NAME[key].name if key in BY_NAME else key
    return ConfigurationError(
        f"{_setting(key, passed)} is refused by librdkafka: {text}",
        path=key,
        remedy="correct it",
    )


def _setting(key: str, passed: PassedKeys) -> str:
    for table, keys in passed.items():
        if key in keys:
            return f"key {key!r} of the table [{table}]"
    return f"setting {BY_NAME[key].setting or key if key in BY_NAME else key}"


def librdkafka_version() -> str:
    """Return the version of librdkafka in Confluent's package."""
    return str(libversion()[0])

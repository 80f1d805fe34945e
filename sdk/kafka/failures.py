"""librdkafka's errors → `sdk.errors`: one table for producer, consumer and admin."""

from __future__ import annotations

import re
from typing import Any

from confluent_kafka import KafkaError

from sdk.errors import (
    AuthenticationError,
    AuthorizationError,
    BrokerError,
    BrokerUnavailableError,
    ConfigurationError,
    DeliveryError,
    DeliveryTimeoutError,
    FencedError,
    MessageTooLargeError,
    QueueFullError,
    SdkError,
)

_NAMES: dict[type[SdkError], tuple[str, ...]] = {
    AuthenticationError: (
        "_AUTHENTICATION",
        "_SSL",
        "ILLEGAL_SASL_STATE",
        "SASL_AUTHENTICATION_FAILED",
        "UNSUPPORTED_SASL_MECHANISM",
    ),
    AuthorizationError: (
        "CLUSTER_AUTHORIZATION_FAILED",
        "GROUP_AUTHORIZATION_FAILED",
        "TOPIC_AUTHORIZATION_FAILED",
        "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
    ),
    MessageTooLargeError: ("INVALID_MSG_SIZE", "MSG_SIZE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"),
    FencedError: (
        "_FENCED",
        "FENCED_INSTANCE_ID",
        "INVALID_PRODUCER_EPOCH",
        "PRODUCER_FENCED",
    ),
    BrokerUnavailableError: (
        "_ALL_BROKERS_DOWN",
        "_RESOLVE",
        "_TIMED_OUT",
        "_TRANSPORT",
        "_WAIT_COORD",
        "BROKER_NOT_AVAILABLE",
        "COORDINATOR_LOAD_IN_PROGRESS",
        "COORDINATOR_NOT_AVAILABLE",
        "LEADER_NOT_AVAILABLE",
        "NETWORK_EXCEPTION",
        "NOT_CONTROLLER",
        "NOT_COORDINATOR",
        "NOT_ENOUGH_REPLICAS",
        "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
        "NOT_LEADER_FOR_PARTITION",
        "REQUEST_TIMED_OUT",
        "UNSTABLE_OFFSET_COMMIT",
    ),
    DeliveryTimeoutError: ("_MSG_TIMED_OUT",),
    DeliveryError: ("_PURGE_INFLIGHT", "_PURGE_QUEUE"),
    QueueFullError: ("_QUEUE_FULL",),
    ConfigurationError: ("_INVALID_ARG", "INVALID_CONFIG"),
}

_CLASSES = {
    getattr(KafkaError, name): error_class
    for error_class, names in _NAMES.items()
    for name in names
}

_MISSING = {
    KafkaError._UNKNOWN_PARTITION,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}

_REMEDIES: dict[type[SdkError], str] = {
    AuthenticationError: "check the tables [kafka.sasl] and [kafka.tls]",
    AuthorizationError: "add an ACL that allows this user the operation",
    BrokerUnavailableError: "check kafka.bootstrap_servers, whether the listener expects"
    " [kafka.tls] or [kafka.sasl], the network and the brokers",
    DeliveryTimeoutError: "a copy may exist on the broker: produce it again only if that is fine",
    FencedError: "another instance uses the same identity: stop this one",
    MessageTooLargeError: "make it smaller, or raise message.max.bytes here and on the broker",
}


def broker_failure(error: KafkaError, doing: str, **where: Any) -> SdkError:
    """Return the SDK's error for one of librdkafka's.

    Args:
        error: From a callback or an exception.
        doing: The operation that failed, such as ``deliver the record``.
        **where: Context, such as ``topic`` or ``partition``.
    """
    error_class = _class_of(error)
    remedy = _REMEDIES.get(error_class)
    if error.code() in _MISSING:
        remedy = (
            "create the topic, or set routing.provision = 'create'"
            if where.get("partition") is None
            else "choose a partition that the topic has"
        )
    return error_class(f"cannot {doing}: {_words(error)}", remedy=remedy, **where)


def _class_of(error: KafkaError) -> type[SdkError]:
    if error.code() != KafkaError._FATAL:
        return _CLASSES.get(error.code(), BrokerError)
    # The cause of a consumer's fatal error is only in its text: that of the original code.
    text = error.str()
    causes = (each for code, each in _CLASSES.items() if KafkaError(code).str() in text)
    return next(causes, BrokerError)


def is_refusal(error: KafkaError) -> bool:
    """Whether the broker rejected the client, so that retrying is useless."""
    return _CLASSES.get(error.code()) is AuthenticationError


def is_missing(error: KafkaError) -> bool:
    """Whether the topic or partition does not exist, or not yet."""
    return error.code() in _MISSING


def _words(error: KafkaError) -> str:
    """Return librdkafka's text without the addresses of its own threads."""
    text = re.sub(r"^\S*(?:thrd|thread):\S*\s*", "", error.str() or error.name())
    return f"{text} ({error.name()})"

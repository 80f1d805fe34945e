"""librdkafka's keys: the setting for each, and the keys that are passed through.

One table serves both directions: settings files may contain keys of librdkafka, and a client's
messages about a key are reported in terms of our settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import fields, frozen

from sdk.settings.checking import InvalidSetting, Scalar, SettingPath

PASSING_TABLES = ("kafka", "producer", "consumer")

UNDOTTED = frozenset({"acks", "debug", "log_level", "partitioner", "retries"})
"""librdkafka keys without a dot; all others have one."""


@frozen
class Key:
    """A key of librdkafka that the SDK sets, or does not allow.

    Attributes:
        name: As librdkafka's documentation lists it.
        setting: Our setting for it, such as ``producer.acks``; None if there is none.
        aliases: Other names that librdkafka knows it by.
        passes: Whether the librdkafka key may be used as well.
        reason: Why it cannot be set, if there is no setting.
    """

    name: str
    setting: str | None = None
    aliases: tuple[str, ...] = ()
    passes: bool = False
    reason: str = ""


_COMMITS = "offsets are committed after the handler has succeeded"

KEYS = (
    Key("bootstrap.servers", "kafka.bootstrap_servers", ("metadata.broker.list",)),
    Key("client.id", "kafka.client_id"),
    Key("security.protocol", reason="it follows from the tables [kafka.tls] and [kafka.sasl]"),
    Key("ssl.ca.location", "kafka.tls.ca_location"),
    Key("ssl.certificate.location", "kafka.tls.certificate_location"),
    Key("ssl.key.location", "kafka.tls.key_location"),
    Key("ssl.key.password", "kafka.tls.key_password"),
    Key("enable.ssl.certificate.verification", "kafka.tls.verify"),
    Key("sasl.mechanism", "kafka.sasl.mechanism", ("sasl.mechanisms",)),
    Key("sasl.username", "kafka.sasl.username"),
    Key("sasl.password", "kafka.sasl.password"),
    Key("acks", "producer.acks", ("request.required.acks",)),
    Key("enable.idempotence", "producer.enable_idempotence"),
    Key("linger.ms", "producer.linger_ms", ("queue.buffering.max.ms",), passes=True),
    Key("compression.type", "producer.compression_type", ("compression.codec",), passes=True),
    Key("delivery.timeout.ms", "producer.delivery_timeout_ms", ("message.timeout.ms",)),
    Key("delivery.report.only.error", reason="every delivery is reported"),
    Key("transactional.id", "producer.transactional_id"),
    Key("transaction.timeout.ms", "producer.transaction_timeout_ms"),
    Key("group.id", "consumer.group_id"),
    Key("group.instance.id", "consumer.group_instance_id"),
    Key("group.protocol", "consumer.group_protocol"),
    Key("auto.offset.reset", "consumer.auto_offset_reset"),
    Key("isolation.level", "consumer.isolation_level", passes=True),
    Key("session.timeout.ms", "consumer.session_timeout_ms", passes=True),
    Key("enable.auto.commit", reason=_COMMITS),
    Key("enable.auto.offset.store", reason=_COMMITS),
)

BY_NAME: Mapping[str, Key] = {name: key for key in KEYS for name in (key.name, *key.aliases)}
"""Each name and alias → its entry."""


def configured(table: str, options: Any) -> dict[str, Any]:
    """Return the librdkafka keys that the options of one table set."""
    names = {each.name for each in fields(type(options))}
    config: dict[str, Any] = {}
    for key in KEYS:
        home, _, name = (key.setting or "").rpartition(".")
        if home == table and name in names and (value := getattr(options, name)) is not None:
            config[key.name] = value
    return config


def dotted(key: str) -> str:
    """Return the librdkafka key that was written with underscores, as in a variable's name."""
    return key if key in UNDOTTED else key.replace("_", ".")


def gather_passthrough(settings: dict[str, Any]) -> list[InvalidSetting]:
    """Move librdkafka's keys of ``[kafka]``, ``[producer]`` and ``[consumer]`` into ``librdkafka``.

    They are the keys with a dot or in `UNDOTTED`, and those of the sub-table ``librdkafka``, in
    which an underscore stands for a dot because a variable's name cannot have one; likewise in
    ``[registry.rules]``.

    Returns:
        Findings about keys that cannot pass, because the SDK sets them itself.
    """
    findings: list[InvalidSetting] = []
    for table in PASSING_TABLES:
        options = settings.get(table)
        if isinstance(options, dict) and isinstance(options.setdefault("librdkafka", {}), dict):
            findings += _gather(table, options)
    registry = settings.get("registry")
    if isinstance(registry, dict) and isinstance(registry.get("rules"), dict):
        rules = registry["rules"].items()
        registry["rules"] = {key.replace("_", "."): value for key, value in rules}
    return findings


def _gather(table: str, options: dict[str, Any]) -> list[InvalidSetting]:
    written: dict[SettingPath, Any] = {
        (table, key): options.pop(key)
        for key in [*options]
        if "." in key or (key in UNDOTTED and BY_NAME.get(key, _NO_KEY).setting != f"{table}.{key}")
    }
    written |= {(table, "librdkafka", key): value for key, value in options["librdkafka"].items()}
    options["librdkafka"] = passing = {}
    findings = []
    for path, value in written.items():
        key = BY_NAME.get(name := dotted(path[-1]), _NO_KEY)
        finding = _refuse(key, path, options, value)
        if finding is None:
            passing[key.name or name] = value
        else:
            findings.append(finding)
    return findings


_NO_KEY = Key("", passes=True)


def _refuse(
    key: Key, path: SettingPath, options: dict[str, Any], value: object
) -> InvalidSetting | None:
    table, _, name = (key.setting or "").rpartition(".")
    if key.setting is not None and not (key.passes and table == path[0]):
        return InvalidSetting(path, "is set by the SDK", f"use [{table}] {name}")
    if key.reason:
        return InvalidSetting(path, "cannot be set", f"remove it: {key.reason}")
    if name and name in options:
        return InvalidSetting(path, f"means the same as {name}", "keep one of them")
    if not isinstance(value, Scalar):
        return InvalidSetting(path, "must be text, a number, or true or false")
    return None

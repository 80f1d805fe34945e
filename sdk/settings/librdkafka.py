"""Other libraries' keys inside our tables: which pass through, and which are ours to set."""

from __future__ import annotations

from typing import Any

from sdk.settings.sources import SettingPath
from sdk.settings.structure import Finding

_PASSING_TABLES = ("kafka", "producer", "consumer")

_OURS = {
    "bootstrap.servers": "[kafka] bootstrap_servers",
    "metadata.broker.list": "[kafka] bootstrap_servers",
    "client.id": "[kafka] client_id",
    "security.protocol": "the tables [kafka.tls] and [kafka.sasl]",
    "ssl.ca.location": "[kafka.tls] ca_location",
    "ssl.certificate.location": "[kafka.tls] certificate_location",
    "ssl.key.location": "[kafka.tls] key_location",
    "ssl.key.password": "[kafka.tls] key_password",
    "enable.ssl.certificate.verification": "[kafka.tls] verify",
    "sasl.mechanism": "[kafka.sasl] mechanism",
    "sasl.mechanisms": "[kafka.sasl] mechanism",
    "sasl.username": "[kafka.sasl] username",
    "sasl.password": "[kafka.sasl] password",
    "acks": "[producer] acks",
    "request.required.acks": "[producer] acks",
    "enable.idempotence": "[producer] enable_idempotence",
    "delivery.timeout.ms": "[producer] delivery_timeout_ms",
    "message.timeout.ms": "[producer] delivery_timeout_ms",
    "group.id": "[consumer] group_id",
    "group.protocol": "[consumer] group_protocol",
    "auto.offset.reset": "[consumer] auto_offset_reset",
}

_BUILT_IN = {
    "enable.auto.commit": "offsets are committed after the handler has succeeded",
    "enable.auto.offset.store": "offsets are committed after the handler has succeeded",
    "delivery.report.only.error": "every delivery is reported",
}

_SAME_AS = {
    "linger.ms": "linger_ms",
    "queue.buffering.max.ms": "linger_ms",
    "compression.type": "compression_type",
    "compression.codec": "compression_type",
    "session.timeout.ms": "session_timeout_ms",
}
"""Keys that may be written librdkafka's way as well, but not both ways at once."""


def gather_passthrough(settings: dict[str, Any]) -> list[Finding]:
    """Move librdkafka's keys of ``[kafka]``, ``[producer]`` and ``[consumer]`` into ``librdkafka``.

    They are the keys with a dot, and the sub-table ``librdkafka``, in which an underscore stands
    for a dot because a variable's name can hold none; so it does in ``[registry.rules]``.

    Args:
        settings: Merged settings; changed in place.

    Returns:
        What cannot pass: keys that the SDK sets itself.
    """
    findings: list[Finding] = []
    for table in _PASSING_TABLES:
        options = settings.get(table)
        if isinstance(options, dict):
            findings += _gather((table,), options)
    registry = settings.get("registry")
    if isinstance(registry, dict) and isinstance(registry.get("rules"), dict):
        registry["rules"] = {_dotted(key): value for key, value in registry["rules"].items()}
    return findings


def dots(key: str) -> str:
    """Return a dotted key for one that was written with underscores, as a variable's name is."""
    return key.replace("_", ".")


def _dotted(key: str) -> str:
    return key.replace("_", ".")


def _gather(path: SettingPath, options: dict[str, Any]) -> list[Finding]:
    written: dict[str, SettingPath] = {}
    passing: dict[str, Any] = {}
    for key in [key for key in options if "." in key]:
        passing[key] = options.pop(key)
        written[key] = (*path, key)
    below = options.get("librdkafka", {})
    if not isinstance(below, dict):
        return []  # told with the other wrong types
    for key, value in below.items():
        dotted = dots(key)
        passing[dotted] = value
        written[dotted] = (*path, "librdkafka", key)
    options["librdkafka"] = passing
    findings = []
    for key, where in written.items():
        finding = _refuse(key, where, options, passing[key])
        if finding is not None:
            del passing[key]
            findings.append(finding)
    return findings


def _refuse(key: str, where: SettingPath, options: dict[str, Any], value: object) -> Finding | None:
    if key in _OURS:
        return Finding(where, "is set by the SDK", f"use {_OURS[key]}")
    if key in _BUILT_IN:
        return Finding(where, "is set by the SDK", f"remove it: {_BUILT_IN[key]}")
    if _SAME_AS.get(key) in options:
        return Finding(where, f"says the same as {_SAME_AS[key]}", "keep one of them")
    if not isinstance(value, str | int | float):
        return Finding(where, "must be text, a number, or true or false")
    return None

"""The contract that a generated class carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen


@frozen(kw_only=True)
class EventInfo:
    """The contract behind a generated class; generated code sets it as ``__event__``.

    Attributes:
        full_name: Avro full name, such as ``orders.OrderCreated``.
        version: Our version number, the ``N`` of ``v<N>.avsc``; never the registry's.
        schema: The schema's JSON text, as in the schema file.
        fingerprint: CRC-64-AVRO of the Parsing Canonical Form, 16 hexadecimal digits
            in the byte order of single-object encoding (Avro 1.12 specification).
        domain: First folder below the schemas root, such as ``orders``.
        key_field: Name of the attribute whose value is the default message key.
        compatibility: Level that the subject must satisfy, such as ``BACKWARD_TRANSITIVE``.
        owner: Team that owns the event.
        references: Contracts of the shared types that the schema names, in dependency order.
        types: Avro full name of every named type that ``schema`` itself defines → its class.
    """

    full_name: str
    version: int
    schema: str = field(repr=False)
    fingerprint: str
    domain: str = ""
    key_field: str | None = None
    compatibility: str = "BACKWARD_TRANSITIVE"
    owner: str | None = None
    references: tuple[EventInfo, ...] = field(default=(), repr=False)
    types: Mapping[str, type[Any]] = field(factory=dict, repr=False, eq=False)

    @property
    def name(self) -> str:
        """Short name: the full name without its namespace."""
        return self.full_name.rpartition(".")[2]

"""The tables of outbox and inbox, for SQLAlchemy, Alembic and plain DDL."""

from __future__ import annotations

from attrs import field, frozen
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    Dialect,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
    func,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from sdk.errors import ConfigurationError

# SQLite numbers rows only if the type of the key is INTEGER.
_NUMBER = BigInteger().with_variant(Integer, "sqlite")
_DIALECTS: dict[str, type[Dialect]] = {
    "postgresql": postgresql.dialect,
    "sqlite": sqlite.dialect,
}


@frozen
class Tables:
    """The tables of outbox, relay and inbox, in a given `MetaData` or a new one.

    With Alembic, pass the metadata that ``target_metadata`` names.

    Attributes:
        metadata: The metadata of the tables.
        prefix: Prefix of their names.
        schema: Database schema, or None for the default one.
        outbox: Committed events; with the columns of Debezium's outbox event router
            (``id``, ``aggregatetype``, ``aggregateid``, ``type``, ``payload``) and the other parts
            of a record.
        inbox: The handled events.
        lease: The active relay, on databases without advisory locks.
    """

    metadata: MetaData = field(factory=MetaData)
    prefix: str = "sdk_"
    schema: str | None = None
    outbox: Table = field(init=False)
    inbox: Table = field(init=False)
    lease: Table = field(init=False)

    @outbox.default
    def _outbox(self) -> Table:
        name = f"{self.prefix}outbox"
        table = Table(
            name,
            self.metadata,
            Column("position", _NUMBER, Identity(always=True), primary_key=True),
            Column("id", Uuid, nullable=False, comment="CloudEvents id"),
            Column("aggregatetype", String(249), nullable=False, comment="topic"),
            Column("aggregateid", Text, comment="key, as text"),
            Column("type", Text, comment="full name of the event; null for a tombstone"),
            Column("source", Text, comment="CloudEvents source"),
            Column("payload", LargeBinary, comment="record value; null for a tombstone"),
            Column("key", LargeBinary, comment="record key, as it is sent"),
            Column("headers", Text, nullable=False, comment="JSON pairs of name and value"),
            Column("partition", Integer),
            Column("timestamp", BigInteger, comment="milliseconds since the epoch"),
            Column(
                "created_at",
                DateTime(timezone=True),
                nullable=False,
                server_default=func.current_timestamp(),
            ),
            Column("sent_at", DateTime(timezone=True), comment="null until acknowledged"),
            Column("error", Text, comment="why it can never be sent"),
            schema=self.schema,
            sqlite_autoincrement=True,
        )
        # Partial indexes: few rows are pending or refused, however many have been sent.
        for state, condition in (
            ("waiting", _waiting(table)),
            ("refused", table.c.error.is_not(None)),
        ):
            Index(
                f"{name}_{state}",
                table.c.position,
                postgresql_where=condition,
                sqlite_where=condition,
            )
        return table

    @inbox.default
    def _inbox(self) -> Table:
        name = f"{self.prefix}inbox"
        table = Table(
            name,
            self.metadata,
            Column("consumer", String(255), primary_key=True),
            Column("source", Text, primary_key=True, comment="CloudEvents source"),
            Column("id", Text, primary_key=True, comment="CloudEvents id"),
            Column(
                "handled_at",
                DateTime(timezone=True),
                nullable=False,
                server_default=func.current_timestamp(),
            ),
            schema=self.schema,
        )
        Index(f"{name}_handled_at", table.c.handled_at)
        return table

    @lease.default
    def _lease(self) -> Table:
        return Table(
            f"{self.prefix}relay_lease",
            self.metadata,
            Column("name", String(255), primary_key=True),
            Column("owner", String(64), nullable=False),
            Column("until", Double, nullable=False, comment="seconds since the epoch"),
            schema=self.schema,
        )

    @property
    def waiting(self) -> ColumnElement[bool]:
        """The condition of rows that are neither sent nor refused."""
        return _waiting(self.outbox)

    @property
    def channel(self) -> str:
        """The PostgreSQL notification channel, and the outbox's name elsewhere."""
        return f"{self.schema}_{self.prefix}outbox" if self.schema else f"{self.prefix}outbox"


def _waiting(outbox: Table) -> ColumnElement[bool]:
    return outbox.c.sent_at.is_(None) & outbox.c.error.is_(None)


def ddl(dialect: str, tables: Tables | None = None) -> str:
    """Return the statements that create the tables.

    Args:
        dialect: ``postgresql`` or ``sqlite``.
        tables: The tables, with their prefix and schema.

    Raises:
        ConfigurationError: The dialect is not supported.
    """
    if dialect not in _DIALECTS:
        raise ConfigurationError(
            f"the outbox does not support the dialect {dialect!r}",
            remedy=f"use one of {', '.join(_DIALECTS)}",
        )
    used, target = tables or Tables(), _DIALECTS[dialect]()
    statements = []
    for table in (used.outbox, used.inbox, used.lease):
        statements.append(str(CreateTable(table).compile(dialect=target)))
        statements += [
            str(CreateIndex(each).compile(dialect=target))
            for each in sorted(table.indexes, key=lambda index: str(index.name))
        ]
    return "".join(f"{each.strip()};\n\n" for each in statements).rstrip() + "\n"

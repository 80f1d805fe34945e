"""Pairs of schemas while they are being resolved, and which of them can never be read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field

from sdk.avro.resolution.actions import (
    DefaultField,
    ReadArray,
    ReadBranch,
    ReadField,
    ReadMap,
    ReadRecord,
    ReadUnion,
    SkipField,
    Unreadable,
)
from sdk.avro.schema.model import RecordSchema, Schema, UnionSchema


@define(eq=False)
class Choice:
    """A reader's union while it is open which of its branches takes the writer's value.

    ``indexes`` are the candidates, best first; those that were ``tried`` have failed, but the last.
    """

    writer: Schema
    reader: UnionSchema
    path: str
    indexes: list[int]
    tried: list[Any] = field(factory=list)


@define
class Draft:
    """A pair of records while its fields are being resolved."""

    writer: RecordSchema
    reader: RecordSchema
    path: str
    fields: list[ReadField | SkipField] = field(factory=list)
    defaults: list[DefaultField] = field(factory=list)
    error: Unreadable | None = None


def key_of(node: Any) -> int:
    """Return the key of a node; that of a record is made of its index, below zero."""
    return ~node.index if isinstance(node, ReadRecord) else id(node)


class Failures:
    """Finds what can never be read, from the inside out: each node is looked at once.

    A record fails when one of its fields does, a union when all branches do, and a choice when
    its last candidate does. Arrays and maps never fail, because they may be empty.
    """

    def __init__(self, another: Callable[[Choice], Any]) -> None:
        self.another = another
        self.errors: dict[int, Unreadable] = {}
        self.users: dict[int, list[int]] = {}
        self.waiting: dict[int, int] = {}
        self.choices: dict[int, Choice] = {}
        self.failed: list[tuple[int, Unreadable]] = []

    def look_into(self, index: int, draft: Draft) -> None:
        """Note what a record depends on."""
        self.waiting[~index] = 1
        if draft.error is not None:
            self.failed.append((~index, draft.error))
        for each in draft.fields:
            if isinstance(each, ReadField):
                self.need(~index, each.value)

    def look(self, node: Any) -> int:
        """Note what a node depends on; return its key."""
        key = key_of(node)
        if key in self.waiting or isinstance(node, ReadRecord):
            return key
        self.waiting[key] = 1
        match node:
            case Unreadable():
                self.failed.append((key, node))
            case ReadArray():
                self.look(node.items)
            case ReadMap():
                self.look(node.values)
            case ReadBranch():
                self.need(key, node.value)
            case ReadUnion():
                self.waiting[key] = len(node.branches)
                for branch in node.branches:
                    self.need(key, branch)
            case Choice():
                self.choices[key] = node
                self.need(key, node.tried[-1])
        return key

    def need(self, user: int, node: Any) -> None:
        """Note that a node depends on another one."""
        key = self.look(node)
        self.users.setdefault(key, []).append(user)
        if key in self.errors:  # so its users have been updated already
            self.fail_one(user, self.errors[key])

    def fail_one(self, user: int, error: Unreadable) -> None:
        """Note that one of those that a node depends on has failed."""
        self.waiting[user] -= 1
        if self.waiting[user] == 0:
            self.failed.append((user, error))

    def spread(self) -> None:
        """Carry failures outwards; choices whose candidates have failed try the next one."""
        while self.failed:
            key, error = self.failed.pop()
            choice = self.choices.get(key)
            candidate = None if choice is None else self.another(choice)
            if candidate is not None:
                self.waiting[key] = 1
                self.need(key, candidate)
            elif key not in self.errors:
                self.errors[key] = error
                for user in tuple(self.users.get(key, ())):
                    self.fail_one(user, error)

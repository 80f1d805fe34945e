"""Hypothesis strategies for events."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest
from attrs import field, frozen
from contracts.common import Currency
from contracts.delivery import ShipmentDispatched
from contracts.orders import OrderCreated
from hypothesis import find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from sdk import avro
from sdk.errors import ConfigurationError
from sdk.events import EventInfo, checked, to_tuple
from sdk.testing import events


@frozen(kw_only=True, field_transformer=checked)
class Tree:
    """A type that holds itself in every way that can end."""

    __event__: ClassVar[EventInfo]

    left: Tree | None
    inner: tuple[Tree, ...] = field(converter=to_tuple[Any])


@frozen(kw_only=True, field_transformer=checked)
class Endless:
    """A type that always holds itself."""

    __event__: ClassVar[EventInfo]

    again: Endless


def contract(cls: type[Any], *fields: tuple[str, Any]) -> None:
    """Give a class the contract of a record."""
    name = f"shop.{cls.__name__}"
    schema = {"type": "record", "name": name, "fields": [{"name": n, "type": t} for n, t in fields]}
    cls.__event__ = EventInfo(
        full_name=name, version=1, schema=json.dumps(schema), fingerprint="", types={name: cls}
    )


contract(Tree, ("left", ["shop.Tree", "null"]), ("inner", {"type": "array", "items": "shop.Tree"}))
contract(Endless, ("again", "shop.Endless"))


@given(st.data())
@pytest.mark.parametrize("cls", [OrderCreated, ShipmentDispatched, Tree])
def test_events_survive_the_codec(cls: type[Any], data: st.DataObject) -> None:
    """A drawn event can be encoded and equals the decoded one."""
    event = data.draw(events(cls))
    assert type(event) is cls
    assert avro.decode(cls, avro.encode(event)) == event


def test_all_that_a_schema_allows_is_drawn() -> None:
    """Null and text, several lines, negative amounts, and nesting are all met."""
    assert find(events(OrderCreated), lambda order: order.customer_id is None)
    assert find(events(OrderCreated), lambda order: bool(order.customer_id))
    assert find(events(OrderCreated), lambda order: len(order.lines) > 1)
    assert find(events(OrderCreated), lambda order: order.total_amount < -1000)
    assert find(events(OrderCreated), lambda order: order.currency is not Currency.EUR)
    assert find(events(Tree), lambda tree: tree.left is not None and bool(tree.left.inner))


def depth(tree: Tree) -> int:
    """Return how many trees are inside each other."""
    inner = [*tree.inner, *([tree.left] if tree.left else [])]
    return 1 + max(map(depth, inner), default=0)


def test_recursion_is_bounded() -> None:
    """Types that hold themselves are drawn a few levels deep, and never without end."""
    assert find(events(Tree), lambda tree: depth(tree) > 4)
    with pytest.raises(NoSuchExample):
        find(events(Tree), lambda tree: depth(tree) > 8, settings=settings(max_examples=150))


@given(events(OrderCreated, currency=st.just(Currency.GBP), note=st.just("x")))
def test_fields_can_be_given(order: OrderCreated) -> None:
    """A strategy for an attribute replaces what the schema allows."""
    assert (order.currency, order.note) == (Currency.GBP, "x")


def test_an_unknown_field_is_refused_with_a_suggestion() -> None:
    """A misspelt attribute is told at once, not when the test runs."""
    with pytest.raises(ConfigurationError, match="did you mean currency"):
        events(OrderCreated, curency=st.none())


def test_a_type_without_finite_values_is_refused() -> None:
    """An event that always holds another one of its type cannot be made."""
    with pytest.raises(ConfigurationError, match="always holds itself"):
        events(Endless)

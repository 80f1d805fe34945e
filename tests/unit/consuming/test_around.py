"""Context managers around each call of a handler."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import pytest
from attrs import field, frozen

from sdk.consuming.around import combined
from sdk.consuming.failures import FailurePolicy
from sdk.observability.context import message_context
from sdk.records import ConsumerRecord
from sdk.settings import RetryOptions
from tests.unit.consuming.story import (
    orders,
    poison,
    publish,
    publish_keyed,
    run_until,
    running,
    wait_until,
)
from tests.unit.messaging.shop import OrderCreated, Shop

inside: ContextVar[str] = ContextVar("inside", default="outside")


@frozen
class Note:
    """A hook that notes how it was called and left."""

    name: str = "hook"
    calls: list[tuple[int, str | None, str, int]] = field(factory=list)
    left: list[str] = field(factory=list)

    @contextmanager
    def __call__(
        self, records: Sequence[ConsumerRecord], event: str | None, group: str, attempt: int
    ) -> Iterator[None]:
        """Note the call, and what the handler raised."""
        self.calls.append((len(records), event, group, attempt))
        before = inside.set(f"{inside.get()}>{self.name}")
        try:
            yield
        except BaseException as error:
            self.left.append(repr(error))
            raise
        else:
            self.left.append("returned")
        finally:
            inside.reset(before)


@pytest.mark.parametrize("kind", ["plain", "coroutine", "plain beside a coroutine"])
def test_handlers_run_inside(kind: str) -> None:
    """Context variables of the hook are seen by plain functions, coroutines and pool threads."""
    shop = Shop()
    publish_keyed(shop, ("a", 0), ("a", 1))
    note, seen = Note(), []

    def take(event: OrderCreated) -> None:
        seen.append((event.order_id, inside.get()))

    async def take_in_loop(event: OrderCreated) -> None:
        take(event)

    consumer = shop.consumer(around=note)
    consumer.handle(
        OrderCreated,
        take_in_loop if kind == "coroutine" else take,
        tombstone=take_in_loop if kind.endswith("a coroutine") else None,
    )
    run_until(consumer, lambda: len(note.left) == 2)
    assert seen == [("a-0", "outside>hook"), ("a-1", "outside>hook")]
    assert note.calls == [(1, "orders.OrderCreated", "billing", 1)] * 2


def test_a_batch_is_entered_once() -> None:
    """A batch handler is one call, with all records of the batch."""
    shop = Shop()
    publish_keyed(shop, ("a", 0), ("a", 1), ("a", 2))
    note = Note()
    consumer = shop.consumer(around=note)
    consumer.handle(OrderCreated, lambda events: None, batch_size=3)
    run_until(consumer, lambda: note.left == ["returned"])
    assert note.calls == [(3, "orders.OrderCreated", "billing", 1)]


def test_failures_pass_through_and_attempts_are_counted() -> None:
    """The hook sees what the handler raised, and log lines and hook know which attempt it is."""
    shop = Shop()
    publish(shop, *orders(1))
    note, attempts = Note(), []

    def fail_once(event: OrderCreated) -> None:
        attempts.append(message_context()["attempt"])
        if len(attempts) == 1:
            raise ValueError("not yet")

    policy = FailurePolicy(retry=RetryOptions(retry_count=1, base_delay_ms=1))
    consumer = shop.consumer(around=note, policy=policy).handle(OrderCreated, fail_once)
    run_until(consumer, lambda: len(note.left) == 2)
    assert note.left == ["ValueError('not yet')", "returned"]
    assert [call[3] for call in note.calls] == attempts == [1, 2]


def test_poison_is_shown_to_the_hook() -> None:
    """A record that cannot be opened enters the hook without an event, and raises inside."""
    shop = Shop()
    poison(shop)
    note = Note()
    consumer = shop.consumer(around=note).handle(OrderCreated, lambda event: None)
    with running(consumer):
        wait_until(lambda: note.left != [])
    assert note.calls == [(1, None, "billing", 1)]
    assert note.left[0].startswith("DeserializationError")


def test_several_hooks_nest() -> None:
    """The first hook is the outermost; without any there is nothing to enter."""
    outer, inner = Note("a"), Note("b")
    hook = combined([outer, inner])
    assert hook is not None
    with hook((), "orders.OrderCreated", "billing", 1):
        assert inside.get() == "outside>a>b"
    assert outer.left == inner.left == ["returned"]
    assert combined([]) is None

"""Context managers around each call of a handler."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from sdk.abstractions import AroundHandler
from sdk.records import ConsumerRecord


def combined(hooks: Iterable[AroundHandler]) -> AroundHandler | None:
    """Return one hook that enters all of them, the first outermost; None without any."""
    every = tuple(hooks)
    if len(every) < 2:
        return every[0] if every else None

    @contextmanager
    def enter_all(
        records: Sequence[ConsumerRecord], event: str | None, group: str, attempt: int
    ) -> Iterator[None]:
        with ExitStack() as stack:
            for hook in every:
                stack.enter_context(hook(records, event, group, attempt))
            yield

    return enter_all

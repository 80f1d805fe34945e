"""Base classes of context managers that close themselves."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from sdk.errors import UndeliveredError


class Closing(ABC):
    """A base for objects that are closed at the end of their ``with`` block."""

    @abstractmethod
    def close(self) -> None:
        """Release the resources."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close_after(error)

    def _close_after(self, error: BaseException | None) -> None:
        """Close, after the block has ended, with ``error`` or normally (None)."""
        self.close()


class ClosingDeliveries(Closing):
    """A base for objects that wait for deliveries when closed: ``with`` or ``async with``."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self._close_after, error)

    def _close_after(self, error: BaseException | None) -> None:
        try:
            self.close()
        except UndeliveredError as undelivered:
            # The error of the block matters more; the undelivered events have been logged.
            if error is None:
                raise
            error.add_note(str(undelivered))

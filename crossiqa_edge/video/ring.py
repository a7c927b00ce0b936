"""``Ring``: the few items between the thread that reads and the one that scores."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")

_GLANCE = 0.1  # seconds after which a waiting thread looks up, so that Ctrl-C reaches it


class Ring(Generic[Item]):
    """A bounded queue for one producer and one consumer, which either of them can end.

    ``finish`` ends it for the producer: what is in it still comes out. ``abandon`` ends it for the
    consumer: what is in it is gone, and nothing is taken in any more.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._finished = False
        self._abandoned = False

    def put(self, item: Item) -> None:
        """Add ``item`` at the end; waits for room."""
        with self._changed:
            while len(self._items) >= self._capacity and not self._abandoned:
                self._changed.wait(_GLANCE)
            self._add(item)

    def supersede(self, item: Item, kind: type[Item]) -> Item | None:
        """Add ``item`` at the end without waiting, in place of the one of its ``kind`` that waits, if any.

        Returns:
            The item that was taken out.
        """
        with self._changed:
            old = next((waiting for waiting in self._items if isinstance(waiting, kind)), None)
            if old is not None:
                self._items.remove(old)
            self._add(item)
            return old

    def take(self, impatient: Callable[[], bool] = bool) -> Item | None:
        """The first item, waiting for one; None once the ring has ended, or ``impatient()``, and is empty."""
        with self._changed:
            while not (self._items or self._finished or self._abandoned or impatient()):
                self._changed.wait(_GLANCE)
            item = self._items.popleft() if self._items else None
            self._changed.notify_all()
            return item

    def finish(self) -> None:
        """Nothing more will be put in."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Nothing more will be taken out."""
        with self._changed:
            self._abandoned = True
            self._items.clear()
            self._changed.notify_all()

    def _add(self, item: Item) -> None:
        if not self._abandoned:
            self._items.append(item)
            self._changed.notify_all()

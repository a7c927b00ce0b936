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

    The consumer takes no more at once than ``capacity``.

    ``finish`` ends it for the producer: what is in it still comes out. ``abandon`` ends it for the
    consumer: what is in it is gone, and nothing is taken in any more.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._wanted = 1  # how many items the consumer waits for; it is not woken for fewer
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

    def take(self, count: int, impatient: Callable[[], bool] = bool) -> list[Item]:
        """The first ``count`` items, waiting for them; fewer once the ring has ended, or ``impatient()``."""
        with self._changed:
            self._wanted = count
            while not (len(self._items) >= count or self._finished or self._abandoned or impatient()):
                self._changed.wait(_GLANCE)
            items = [self._items.popleft() for _ in range(min(count, len(self._items)))]
            self._changed.notify_all()
            return items

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
            if len(self._items) >= self._wanted:
                self._changed.notify_all()

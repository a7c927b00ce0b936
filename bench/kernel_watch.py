"""An end to what may never end: a kernel whose programs wait for each other."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer

_STATUS = 3


@contextmanager
def watched(
    seconds: float, late: Callable[[], object], leave: Callable[[int], object] = os._exit
) -> Iterator[None]:
    """End the process where the block takes longer than ``seconds``: no call to the driver would return.

    Args:
        late: called before that, in another thread, to write down what happened.
        leave: ends the process.
    """

    def end() -> None:
        try:
            late()
            sys.stdout.flush()
        finally:
            leave(_STATUS)

    timer = Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()

"""``Tempo``: in live mode, how fast frames come and scores go, and which frames to pass over therefore."""

from __future__ import annotations

from math import ceil

_NEWEST = 0.25  # share of the newest measurement in a running mean


class Tempo:
    """Pure arithmetic on times that others measure, all in seconds.

    Left to itself, a scorer that needs 1.5 frame intervals would let frames wait, and answer late and
    at uneven steps. So only every n-th frame is kept, n being the least number that leaves time to score
    it; and one that has waited so long that its score would come too late gives way to a newer one.
    """

    def __init__(self, max_latency: float) -> None:
        self._max_latency = max_latency
        self._interval = 0.0
        self._service = 0.0
        self._arrived: float | None = None
        self._passed_over = 0

    @property
    def stride(self) -> int:
        """How many frames come while one is scored, at least 1."""
        if not self._interval or not self._service:
            return 1
        return max(1, ceil(self._service / self._interval - 0.05))  # a jitter of 5 % costs no frame

    def keeps(self, now: float) -> bool:
        """Whether the frame that arrives ``now`` is one to score."""
        if self._arrived is not None:
            self._interval = _mean(self._interval, now - self._arrived)
        self._arrived = now
        self._passed_over += 1
        if self._passed_over < self.stride:
            return False
        self._passed_over = 0
        return True

    def served(self, seconds: float) -> None:
        """One frame took the scorer, and whoever uses its result, so long."""
        self._service = _mean(self._service, seconds)

    def too_late(self, age: float) -> bool:
        """Whether a frame that arrived ``age`` ago can no longer be scored in time, but a fresh one could."""
        return self._service < self._max_latency < age + self._service


def _mean(so_far: float, newest: float) -> float:
    return newest if not so_far else so_far + _NEWEST * (newest - so_far)

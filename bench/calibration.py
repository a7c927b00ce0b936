"""A fixed piece of work whose time says how fast this machine is at this moment.

Milliseconds mean nothing on another machine; their ratio to this loop means something: it is made of the
same kind of work as the network on a CPU, float32 matrix products of a small vision transformer, through
the library that NumPy was built with.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

TOKENS, WIDTH = 197, 192
_PRODUCTS = 12


def calibration_loop() -> Callable[[], None]:
    """The loop: ``_PRODUCTS`` times (197, 192) @ (192, 768) @ (768, 192), 1.4 GFLOP in all."""
    generator = np.random.default_rng(0)
    tokens = generator.standard_normal((TOKENS, WIDTH), dtype=np.float32)
    up = generator.standard_normal((WIDTH, 4 * WIDTH), dtype=np.float32)
    down = generator.standard_normal((4 * WIDTH, WIDTH), dtype=np.float32)

    def loop() -> None:
        for _ in range(_PRODUCTS):
            np.maximum(tokens @ up, 0.0) @ down

    return loop

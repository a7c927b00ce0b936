"""The candidates of the kernel benchmark by name."""

from __future__ import annotations

OURS = "crossiqa"
OURS_WIDE = f"{OURS} in 16 bits"
PERSISTENT = f"{OURS} persistent"  # experimental, for a batch of one
SDPA = "sdpa"  # and then the backend
EAGER = "eager"
COMPILED = "torch.compile"
TUNED = f"{COMPILED} max-autotune"

MODES = ("launches", "graph")  # in which each of them is timed, in this order


def compiles(name: str) -> bool:
    """Whether a candidate is prepared by torch.compile, which takes seconds to minutes."""
    return name.startswith(COMPILED)

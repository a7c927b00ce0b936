"""torch as a peer of the kernels: eager, and by torch.compile in a way that is certain to compile."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from crossiqa_edge.bench.kernel_names import COMPILED, EAGER, OURS, TUNED

# By itself max-autotune records CUDA graphs; here the timer records those of all candidates alike.
_TUNED_MODE = "max-autotune-no-cudagraphs"

Call = Callable[[], Tensor | tuple[Tensor, ...]]  # of several results the first is compared
Candidates = dict[str, Callable[[], Call]]


def pair_of_candidates(ours: Call, torchs: Call, wanted: bool) -> Candidates:
    """Ours, torch's, and where it is wanted torch's by torch.compile."""
    return {OURS: lambda: ours, EAGER: lambda: torchs} | by_compiler(torchs, wanted)


def by_compiler(call: Call, wanted: bool) -> Candidates:
    """torch.compile as it comes, where it is wanted."""
    return {COMPILED: partial(compiled, call)} if wanted else {}


def by_tuned_compiler(call: Call, wanted: bool) -> Candidates:
    """torch.compile that tries out products and tiles, where it is wanted."""
    return {TUNED: partial(compiled, call, _TUNED_MODE)} if wanted else {}


def compiled(call: Call, mode: str | None = None) -> Call:
    """``call`` by torch.compile, compiled already.

    Raises:
        RuntimeError: torch left it eager, as it does without a word once one function has met eight shapes.
    """
    before = _graphs()
    made: Call = torch.compile(call, mode=mode, dynamic=False, fullgraph=True)
    made()
    if _graphs() == before:
        raise RuntimeError("torch.compile left it eager")
    return made


def forget_compiled() -> None:
    """Free what torch.compile has made, and its count of shapes, which end at eight a function."""
    import torch._dynamo

    torch._dynamo.reset()


def _graphs() -> int:
    from torch._dynamo.utils import counters

    return int(counters["stats"]["unique_graphs"])

"""Which kernels a model uses, and at which workloads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module

from crossiqa_edge.card import ModelCard
from crossiqa_edge.kernels.spec import KernelSpec, Workload
from crossiqa_edge.model.family import PATCH_SIZE, family_size

# Each offers ``specs(workload)``. A pack holds the first group.
MODULES = ("embed", "layer_norm", "linear", "attention_forward", "head")
TRAINING = ("layer_norm_backward", "attention_backward")
INT8 = ("linear_int8", "attention_int8")  # no attention in float32

_MLP_RATIO = 4  # of timm's vision transformers: hidden width over token width


def specs(workload: Workload, modules: Iterable[str] | None = None) -> Iterator[KernelSpec]:
    """Every kernel of ``modules``, with its tile at ``workload``; of MODULES, where none are given."""
    for name in MODULES if modules is None else modules:
        yield from import_module(f"crossiqa_edge.kernels.{name}").specs(workload)


def workloads(
    card: ModelCard, architectures: Iterable[int], dtypes: Iterable[str], batches: Iterable[int]
) -> Iterator[Workload]:
    """Every combination, for the model that ``card`` describes; ConfigError for an unknown size."""
    size = family_size(card.size)
    grid = card.view_size // PATCH_SIZE
    batches, dtypes = list(batches), list(dtypes)
    for architecture in architectures:
        for dtype in dtypes:
            for batch in batches:
                yield Workload(
                    architecture,
                    dtype,
                    batch,
                    tokens=1 + grid * grid,
                    width=size.width,
                    heads=size.heads,
                    hidden=_MLP_RATIO * size.width,
                    patch=PATCH_SIZE,
                    levels=size.levels if card.embedding == "multilevel" else (),
                )

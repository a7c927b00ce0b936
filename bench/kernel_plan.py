"""Every case of the kernel benchmark, the most important ones first: time may end before the list does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch

from crossiqa_edge.bench.kernel_cases import (
    ATTENTION_SHAPES,
    INT8_SHAPES,
    LINEAR_SHAPES,
    ROW_SHAPES,
    Case,
    Planned,
    add_layer_norm_case,
    attention_case,
    attention_int8_case,
    int8_case,
    layer_norm_case,
    linear_case,
)
from crossiqa_edge.bench.kernel_encoders import (
    embed_case,
    encoder_case,
    frame_case,
    head_case,
    one_launch_case,
)

LIGHT, HEAVY = ("tiny", "nano"), ("small", "base")
GOAL_BATCHES, OTHER_BATCHES = (1, 64), (8, 256)
FRAMES = ((1080, 1920), (2160, 3840))
ONE_LAUNCH_SIZES = ("nano", "tiny")  # the others' weights leave it too little shared memory or spill
_VIEW_TOKENS = 197


def plan(device: str, dtype: torch.dtype) -> list[Planned]:
    """What the goals name, the light members first; then the other kernels, batches and members.

    On frames torch.compile is a candidate for tiny alone: it takes half a minute to prepare.
    """
    options = {"device": device, "dtype": dtype, "compiled": True}
    sampled = {**options, "compiled": False}
    view, other = _views_and_others(ATTENTION_SHAPES)
    return [
        *_attention("attention", attention_case, view, options),
        *_encoders(LIGHT, GOAL_BATCHES, options),
        *_frames("frame to score", frame_case, LIGHT[:1], options),
        *_frames("embed", embed_case, LIGHT[:1], options),
        *_attention("attention", attention_case, other, options),
        *_encoders(HEAVY, GOAL_BATCHES, options),
        *_blocks(options),
        *_encoders((*LIGHT, *HEAVY), OTHER_BATCHES, options),
        *_frames("frame to score", frame_case, (*LIGHT[1:], *HEAVY), sampled),
        *_frames("embed", embed_case, (*LIGHT[1:], *HEAVY), sampled),
    ]


def experiments(device: str, dtype: torch.dtype) -> list[Planned]:
    """The kernel that waits for itself, and that no GPU has run yet: the last, should it wait forever."""
    make = partial(one_launch_case, device=device, dtype=dtype)
    return [
        Planned("encoder in one launch", {"size": size, "batch": 1}, partial(make, size))
        for size in ONE_LAUNCH_SIZES
    ]


def _views_and_others(shapes: Iterable[Sequence[int]]) -> tuple[list[Sequence[int]], list[Sequence[int]]]:
    shapes = list(shapes)
    return (
        [shape for shape in shapes if shape[1] == _VIEW_TOKENS],
        [shape for shape in shapes if shape[1] != _VIEW_TOKENS],
    )


def _blocks(options: dict[str, Any]) -> list[Planned]:
    """The kernels of a block beside attention, attention in int8, and the head."""
    linear = ("rows", "depth", "columns", "epilogue")
    products = [shape[:3] for shape in LINEAR_SHAPES]
    head = [(size, GOAL_BATCHES[-1]) for size in (*LIGHT, *HEAVY)]
    return [
        *_planned("linear", linear_case, linear, LINEAR_SHAPES, options),
        *_planned("layer_norm", layer_norm_case, ("rows", "width"), ROW_SHAPES, options),
        *_planned("add_layer_norm", add_layer_norm_case, ("rows", "width"), ROW_SHAPES, options),
        *_attention("attention_int8", attention_int8_case, INT8_SHAPES, options),
        *_planned("linear_int8", int8_case, linear[:3], products, options),
        *_planned("head", head_case, ("size", "batch"), head, options),
    ]


def _attention(
    kernel: str, case: Callable[..., Case], shapes: Iterable[Sequence[int]], options: dict[str, Any]
) -> list[Planned]:
    return _planned(kernel, case, ("batch", "tokens", "heads", "head_dim"), shapes, options)


def _encoders(sizes: Iterable[str], batches: Iterable[int], options: dict[str, Any]) -> list[Planned]:
    sizes = tuple(sizes)
    shapes = [(size, batch) for batch in batches for size in sizes]
    return _planned("encoder", encoder_case, ("size", "batch"), shapes, options)


def _frames(
    kernel: str, case: Callable[..., Case], sizes: Iterable[str], options: dict[str, Any]
) -> list[Planned]:
    shapes = [(size, *frame) for size in sizes for frame in FRAMES]
    return _planned(kernel, case, ("size", "height", "width"), shapes, options)


def _planned(
    kernel: str,
    case: Callable[..., Case],
    names: Sequence[str],
    shapes: Iterable[Sequence[int | str]],
    options: dict[str, Any],
) -> list[Planned]:
    return [
        Planned(kernel, dict(zip(names, shape, strict=True)), partial(case, *shape, **options))
        for shape in shapes
    ]

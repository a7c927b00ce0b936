"""Two kernels small enough to compile in a blink, and their specs."""

from __future__ import annotations

from collections.abc import Iterator

import triton
import triton.language as tl

from crossiqa_edge.kernels.spec import KernelSpec, Workload


@triton.jit
def double_kernel(
    x_pointer, weight_pointer, out_pointer, rows, stride, WIDTH: tl.constexpr, BLOCK: tl.constexpr
):
    """out = 2 * x, a row a program."""
    row = tl.program_id(0)
    column = tl.arange(0, BLOCK)
    x = tl.load(x_pointer + row * stride + column, mask=(row < rows) & (column < WIDTH))
    if weight_pointer is not None:
        x *= tl.load(weight_pointer + column, mask=column < WIDTH)
    tl.store(out_pointer + row * WIDTH + column, 2 * x, mask=column < WIDTH)


@triton.jit
def product_kernel(a_pointer, b_pointer, out_pointer, rows, INNER: tl.constexpr, TILE: tl.constexpr):
    """out = a @ b.T for b of TILE rows, TILE rows of a a program."""
    row = tl.program_id(0) * TILE + tl.arange(0, TILE)
    column = tl.arange(0, TILE)
    total = tl.zeros((TILE, TILE), tl.float32)
    for start in range(0, INNER, TILE):
        inner = start + tl.arange(0, TILE)
        a = tl.load(a_pointer + row[:, None] * INNER + inner[None, :], mask=(row < rows)[:, None], other=0.0)
        b = tl.load(b_pointer + column[None, :] * INNER + inner[:, None])
        total = tl.dot(a, b, total)
    tl.store(out_pointer + row[:, None] * TILE + column[None, :], total, mask=(row < rows)[:, None])


def double_spec(workload: Workload, **changes: object) -> KernelSpec:
    element = f"*{workload.dtype}"
    values = {
        "name": "double",
        "function": double_kernel,
        "signature": {"x_pointer": element, "out_pointer": element, "rows": "i32", "stride": "i32"},
        "constants": {"weight_pointer": None, "WIDTH": workload.width, "BLOCK": 256},
        "grid": ((("rows", 1),),),
        "sizes": {"rows": workload.rows, "stride": workload.width},
        "aligned": ("stride",),
    }
    return KernelSpec(**{**values, **changes})


def product_spec(workload: Workload) -> KernelSpec:
    return KernelSpec(
        name="product",
        function=product_kernel,
        signature={"a_pointer": "*fp16", "b_pointer": "*fp16", "out_pointer": "*fp32", "rows": "i32"},
        constants={"INNER": 128, "TILE": 32},
        grid=((("rows", 32),),),
        sizes={"rows": workload.rows},
        stages=3,
        matrix=True,
        async_copy=True,
    )


def small_specs(workload: Workload) -> Iterator[KernelSpec]:
    yield double_spec(workload)
    yield product_spec(workload)


def small_workload(architecture: int = 87, batch: int = 1) -> Workload:
    return Workload(
        architecture, "fp16", batch, tokens=197, width=192, heads=3, hidden=768, levels=((2, 32), (2, 64))
    )

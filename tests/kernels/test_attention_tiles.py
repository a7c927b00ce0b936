"""The choice of tiles is a pure function: what it promises must hold for every architecture and length."""

from functools import partial

import pytest
from attention_cases import TOKENS

from crossiqa_edge.kernels.aot import compile_kernel
from crossiqa_edge.kernels.attention import HEAD_DIMS
from crossiqa_edge.kernels.attention_forward import specs
from crossiqa_edge.kernels.attention_tiles import WHOLE_ROW, backward_tile, forward_tile, int8_tile
from crossiqa_edge.kernels.spec import Workload, programs
from crossiqa_edge.kernels.targets import TARGETS


def tiles(tokens, dtypes=("fp16", "bf16", "fp32")):
    for architecture in TARGETS:
        for dim in HEAD_DIMS:
            for dtype in dtypes:
                yield forward_tile(architecture, tokens, dim, dtype)
                yield backward_tile(architecture, tokens, dim, dtype)
            if dim >= 32:
                yield int8_tile(architecture, tokens, dim)


@pytest.mark.parametrize("tokens", [*TOKENS, *range(2, 300, 13)])
def test_steps_and_rest_take_every_token_once(tokens):
    for tile in tiles(tokens):
        whole = tokens // tile.step * tile.step if tile.step else 0
        assert tokens <= whole + sum(tile.rest) < tokens + 16, tile


@pytest.mark.parametrize("tokens", TOKENS)
def test_tensor_cores_can_take_every_side(tokens):
    for tile in tiles(tokens, ("fp16", "bf16")):
        for side in (tile.block, tile.step or tile.block, *tile.rest):
            assert side >= 16 and side & (side - 1) == 0, tile


@pytest.mark.parametrize("tokens", TOKENS)
def test_triton_can_take_every_side(tokens):
    for tile in tiles(tokens):
        for side in (tile.block, tile.step or tile.block, *tile.rest):
            assert side & (side - 1) == 0, tile
        assert min(tile.step or 16, *tile.rest, 16) == 16, tile  # the depth of a product


@pytest.mark.parametrize("choose", [partial(forward_tile, dtype="bf16"), int8_tile])
@pytest.mark.parametrize("architecture", [target for target in TARGETS if target >= 80])
def test_rows_are_taken_whole_up_to_256_tokens_where_tensor_cores_multiply(architecture, choose):
    for dim in (32, 64):
        for tokens in (49, 197, WHOLE_ROW):
            assert choose(architecture, tokens, dim).step == 0
        assert choose(architecture, 197, dim).rest == (128, 64, 16)  # 208 keys
        assert choose(architecture, WHOLE_ROW + 1, dim).step == 64


def test_products_on_ordinary_cores_take_steps():
    for architecture, dtype in ((75, "fp16"), (90, "fp32")):
        assert forward_tile(architecture, 197, 64, dtype).step > 0


# Each kind of instruction that multiplies: mma.sync (with little shared memory too), wgmma, tcgen05. What is
# not here is in ``test_compile_gate.py``, or compiles as its neighbour: 87 and 89 as 86, 110 as 100.
@pytest.mark.parametrize(
    ("architecture", "tokens", "dim"),
    [
        *((architecture, 256, 64) for architecture in (80, 86, 90, 100, 120)),
        *((architecture, 256, 32) for architecture in (80, 90, 100)),
        (120, 197, 64),
    ],
)
def test_whole_rows_fit(architecture, tokens, dim):
    compiled = check(Workload(architecture, "fp16", 2, tokens, width=3 * dim, heads=3, hidden=768))
    assert compiled.assembly.registers * 32 * compiled.warps <= 1 << 15  # half of a multiprocessor's


@pytest.mark.parametrize(
    ("architecture", "dtype", "tokens"), [(75, "fp16", 197), (87, "fp32", 197), (87, "fp32", 50)]
)
def test_steps_fit(architecture, dtype, tokens):
    check(Workload(architecture, dtype, 2, tokens, width=192, heads=3, hidden=768))


def check(workload):
    """The form for inference does not spill and leaves shared memory to a second program."""
    (spec,) = specs(workload)
    target = TARGETS[workload.architecture]
    compiled = compile_kernel(spec, target)
    assert compiled.assembly.stack == 0
    assert compiled.shared <= target.shared_limit // 2
    tile = forward_tile(workload.architecture, workload.tokens, workload.head_dim, workload.dtype)
    assert programs(spec.grid, spec.sizes) == (-(-workload.tokens // tile.block), 3, 2)
    copies = compiled.assembly.instructions.get("cp.async.cg", 0)
    assert (copies > 0) == spec.async_copy
    return compiled

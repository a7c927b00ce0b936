"""The choice of tiles is a pure function: what it promises must hold for every architecture and length."""

import pytest
from attention_cases import TOKENS

from crossiqa_edge.kernels.aot import compile_kernel
from crossiqa_edge.kernels.attention import HEAD_DIMS
from crossiqa_edge.kernels.attention_forward import specs
from crossiqa_edge.kernels.attention_tiles import WHOLE_ROW, backward_tile, cut, forward_tile, int8_tile
from crossiqa_edge.kernels.spec import Workload, programs
from crossiqa_edge.kernels.targets import TARGETS


def tiles(tokens):
    for architecture in TARGETS:
        for dim in HEAD_DIMS:
            for dtype in ("fp16", "bf16", "fp32"):
                yield forward_tile(architecture, tokens, dim, dtype)
                yield backward_tile(architecture, tokens, dim, dtype)
            if architecture >= 80 and dim >= 32:
                yield int8_tile(architecture, tokens, dim)


@pytest.mark.parametrize("tokens", [*TOKENS, *range(2, 300, 13)])
def test_steps_and_rest_take_every_token_once(tokens):
    for tile in tiles(tokens):
        whole = tokens // tile.step * tile.step if tile.step else 0
        assert whole <= tokens <= whole + tile.rest, tile
        assert tile.rest < 2 * max(16, tokens - whole), "more padding than tokens"


@pytest.mark.parametrize("tokens", TOKENS)
def test_tensor_cores_can_take_every_side(tokens):
    for tile in tiles(tokens):
        for side in (tile.block, tile.step, tile.rest):
            assert side == 0 or (side >= 16 and side & (side - 1) == 0), tile


def test_short_rows_are_taken_whole_and_long_ones_in_steps():
    assert forward_tile(87, 49, 64, "fp16") == cut(49, 64, 1000, warps=4, stages=3)
    assert forward_tile(87, WHOLE_ROW, 64, "fp16").step == 0
    assert forward_tile(87, 197, 64, "fp16").step == 64
    assert forward_tile(87, 197, 64, "fp16").rest == 16  # 197 = 3 x 64 + 5


@pytest.mark.parametrize("tokens", [50, 197])
@pytest.mark.parametrize(("architecture", "dtype"), [(75, "fp16"), (87, "fp16"), (87, "fp32"), (120, "bf16")])
def test_the_form_for_inference_compiles_without_spills(architecture, dtype, tokens):
    workload = Workload(architecture, dtype, batch=2, tokens=tokens, width=192, heads=3, hidden=768)
    (spec,) = specs(workload)
    compiled = compile_kernel(spec, TARGETS[architecture])
    assert compiled.assembly.stack == 0
    assert compiled.shared <= TARGETS[architecture].shared_limit // 2  # two programs on a multiprocessor
    tile = forward_tile(architecture, tokens, 64, dtype)
    assert programs(spec.grid, spec.sizes) == (-(-tokens // tile.block), 3, 2)
    copies = compiled.assembly.instructions.get("cp.async.cg", 0)
    assert (copies > 0) == spec.async_copy

"""The tile choices: within the limits of each target, and large only where that leaves no GPU idle."""

import pytest

from crossiqa_edge.kernels.targets import TARGETS, target_of
from crossiqa_edge.kernels.tiles import (
    BUSY,
    ELEMENT_BYTES,
    embed_tile,
    linear_tile,
    power_of_two,
    row_tile,
)

ROWS = (1, 49, 197, 1576, 12608, 50432)
LAYERS = ((576, 192), (192, 192), (768, 192), (192, 768), (128, 128), (768, 3072), (33, 20))


def test_powers_of_two():
    assert [power_of_two(count) for count in (1, 2, 3, 192, 256, 257)] == [1, 2, 4, 256, 256, 512]


def test_unlisted_architectures_count_as_the_listed_one_below():
    assert target_of(121) is TARGETS[120]
    assert target_of(103) is TARGETS[100]
    assert target_of(72) is TARGETS[75]


def test_all_but_turing_multiply_int8():
    assert [architecture for architecture in TARGETS if not TARGETS[architecture].int8_dot] == [75]


@pytest.mark.parametrize("architecture", TARGETS)
@pytest.mark.parametrize(
    ("dtype", "weight"), [("fp16", None), ("fp32", None), ("fp16", "int8"), ("fp32", "int8")]
)
def test_linear_tiles_fit_the_target(architecture, dtype, weight):
    for rows in ROWS:
        for columns, depth in LAYERS:
            tile = linear_tile(architecture, rows, columns, depth, dtype, weight)
            sizes = (ELEMENT_BYTES[dtype], ELEMENT_BYTES[weight or dtype])
            stage = (tile.rows * sizes[0] + tile.columns * sizes[1]) * tile.depth
            assert tile.stages * stage <= TARGETS[architecture].shared_limit
            assert min(tile.rows, tile.columns) >= 16
            assert tile.depth >= (32 if weight == "int8" else 16)
            assert tile.depth < 2 * max(depth, 32)


def test_linear_tiles_grow_with_the_work():
    def area(rows):
        tile = linear_tile(90, rows, 768, 192, "fp16")
        return tile.rows * tile.columns

    areas = [area(rows) for rows in ROWS]
    assert areas == sorted(areas) and areas[0] < areas[-1]


@pytest.mark.parametrize("rows", ROWS)
def test_a_tile_is_larger_than_the_least_only_where_there_is_work_for_all(rows):
    tile = linear_tile(90, rows, 768, 192, "fp16")
    programs = -(-rows // tile.rows) * -(-768 // tile.columns)
    assert programs >= BUSY or (tile.rows, tile.columns) == (16, 32)


def test_row_tiles_hold_the_row_and_read_sixteen_bytes_a_thread():
    for width in (33, 64, 128, 192, 384, 768):
        for rows in ROWS:
            tile = row_tile(rows, width)
            assert tile.width >= width and tile.width == power_of_two(tile.width)
            assert tile.rows * tile.width >= 8 * 32 * tile.warps or tile.warps == 1
            assert tile.rows == 1 or -(-rows // tile.rows) >= BUSY


def test_embed_tiles_spread_few_patches_and_widen_for_many():
    few, many = embed_tile(87, 196, 192, "fp16"), embed_tile(87, 64 * 196, 192, "fp16")
    assert few.columns < many.columns
    assert few.patches == many.patches == 16
    for architecture, dtype in ((75, "fp16"), (90, "fp32")):  # no tensor cores: registers hold the operands
        assert embed_tile(architecture, 64 * 196, 192, dtype).groups == 1

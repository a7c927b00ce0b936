"""Grids, workloads and targets: plain arithmetic that launches depend on."""

import pytest
from small_kernels import small_workload

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.kernels.spec import programs
from crossiqa_edge.kernels.targets import TARGETS, target_named

ATTENTION_GRID = ((("tokens", 64),), (("batch", 1), ("heads", 1)))


@pytest.mark.parametrize(
    ("tokens", "expected"), [(1, (1, 6, 1)), (64, (1, 6, 1)), (65, (2, 6, 1)), (197, (4, 6, 1))]
)
def test_programs_round_up_and_multiply(tokens, expected):
    assert programs(ATTENTION_GRID, {"tokens": tokens, "batch": 2, "heads": 3}) == expected


def test_an_axis_may_be_a_product_of_tiled_sizes():
    grid = ((("rows", 64), ("columns", 32)),)
    assert programs(grid, {"rows": 65, "columns": 33}) == (4, 1, 1)


@pytest.mark.parametrize("sizes", [{"tokens": 5, "batch": 2}, {"tokens": 0, "batch": 2, "heads": 3}])
def test_a_size_that_is_missing_or_not_positive_is_refused(sizes):
    with pytest.raises(ConfigError, match="the launch grid needs"):
        programs(ATTENTION_GRID, sizes)


def test_a_workload_knows_its_matrices():
    workload = small_workload(batch=2)
    assert (workload.head_dim, workload.rows) == (64, 394)


def test_there_are_nine_targets_and_orin_reads_old_ptx_only():
    assert sorted(TARGETS) == [75, 80, 86, 87, 89, 90, 100, 110, 120]
    assert target_named("sm_87").ptx_version == 85


@pytest.mark.parametrize("name", ["sm_70", "87", "orin", ""])
def test_unknown_targets_are_refused_with_the_known_ones(name):
    with pytest.raises(ConfigError, match=r"choose from sm_75, .*sm_120"):
        target_named(name)

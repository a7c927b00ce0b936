"""The table of targets: what makes no sense is refused before any work, with what would make sense."""

import pytest

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.export.targets import PRECISIONS, TARGETS, Options, check, target
from crossiqa_edge.runtime.select import BACKENDS


@pytest.mark.parametrize(
    ("name", "hint"),
    [("tensort", "did you mean 'tensorrt'"), ("open-vino", "'openvino'"), ("zzz", "choose from onnx")],
)
def test_an_unknown_target_is_told_the_nearest(name, hint):
    with pytest.raises(ConfigError, match=hint):
        target(name)


@pytest.mark.parametrize(
    ("precision", "hint"), [("fp61", "'fp16'"), ("int4", "'int8'"), ("x", "choose from fp32")]
)
def test_an_unknown_precision_is_told_the_nearest(precision, hint):
    with pytest.raises(ConfigError, match=hint):
        check(target("onnx"), precision, Options())


def test_every_combination_is_either_made_or_refused_with_one_that_is_made():
    for row in TARGETS.values():
        assert row.precisions
        for precision in PRECISIONS:
            if precision in row.precisions:
                check(row, precision, Options())
            else:
                with pytest.raises(ConfigError, match=f"use --precision {row.precisions[0]}$"):
                    check(row, precision, Options())


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("onnx", Options(workspace=512), "--workspace; tensorrt"),
        ("openvino", Options(dla=0), "--dla; tensorrt has"),
        ("tensorrt", Options(compute_capabilities=(86,)), "--compute-capabilities; tensorrt-rtx has"),
        ("triton-server", Options(strip_weights=True), "--strip-weights"),
    ],
)
def test_an_option_that_the_target_has_no_use_for_is_refused_with_who_has(name, options, words):
    with pytest.raises(ConfigError, match=words):
        check(target(name), "int8", options)


def test_the_accelerator_is_refused_in_float32():
    with pytest.raises(ConfigError, match="use --precision fp16"):
        check(target("tensorrt"), "fp32", Options(dla=0))


@pytest.mark.parametrize("values", [{"opt_batch": 0}, {"opt_batch": 9, "max_batch": 8}, {"workspace": 0}])
def test_options_that_contradict_themselves_are_refused(values):
    with pytest.raises(ConfigError):
        Options(**values)


def test_what_a_target_makes_is_run_by_a_backend_that_there_is():
    assert {row.backend for row in TARGETS.values()} <= set(BACKENDS)

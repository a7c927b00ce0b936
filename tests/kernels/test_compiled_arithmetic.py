"""Pairs of float32 keep their bits in the code that a GPU runs, which fuses products with sums."""

import math
from fractions import Fraction

import numpy as np
import pytest
import triton
import triton.language as tl
from ptx import results

from crossiqa_edge.kernels.aot import compile_kernel
from crossiqa_edge.kernels.pairs import binary_power, plus, quotient, reciprocal_root, times
from crossiqa_edge.kernels.spec import KernelSpec
from crossiqa_edge.kernels.targets import TARGETS


@triton.jit
def _sum_of_product(a, b, c, out):
    place = tl.arange(0, 32)
    value, rest = times(tl.load(a + place), 0.0, tl.load(b + place), 0.0)
    value, rest = plus(tl.load(c + place), 0.0, value, rest)
    tl.store(out + place, value)
    tl.store(out + 32 + place, rest)


@triton.jit
def _quotient(a, b, out):
    place = tl.arange(0, 32)
    value, rest = quotient(tl.load(a + place), 0.0, tl.load(b + place), 0.0)
    tl.store(out + place, value)
    tl.store(out + 32 + place, rest)


@triton.jit
def _reciprocal_root(a, out):
    place = tl.arange(0, 32)
    value, rest = reciprocal_root(tl.load(a + place), 0.0)
    tl.store(out + place, value)
    tl.store(out + 32 + place, rest)


@triton.jit
def _power_of_product(a, b, out):
    place = tl.arange(0, 32)
    value, rest = binary_power(*times(-tl.load(a + place), 0.0, tl.load(b + place), 0.0))
    tl.store(out + place, value)
    tl.store(out + 32 + place, rest)


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_CACHE_DIR", str(tmp_path_factory.mktemp("triton")))
        yield


def worst(function, exact, architecture, fused):
    """The largest error of value and rest of the compiled ``function``, as a share of what is ``exact``."""
    names = function.arg_names
    signature = dict.fromkeys(names, "*fp32")
    spec = KernelSpec(function.__name__, function, signature, {}, ((("one", 1),),), {"one": 1}, warps=1)
    ptx = compile_kernel(spec, TARGETS[architecture]).ptx
    drawn = np.random.default_rng(0).uniform(0.5, 2, (100, len(names) - 1)).astype(np.float32).tolist()
    return max(_error(results(ptx, row, fused=fused), exact(*map(Fraction, row))) for row in drawn)


def _error(found, wanted):
    value, rest = map(Fraction, found)
    return abs((value + rest) / wanted - 1)


CASES = {
    "sum": (_sum_of_product, lambda a, b, c: a * b + c, 45),
    "quotient": (_quotient, lambda a, b: a / b, 43),
    "root": (_reciprocal_root, lambda a: 1 / Fraction(math.sqrt(a)), 43),
    "power": (_power_of_product, lambda a, b: Fraction(float(np.exp2(float(-a * b)))), 28),
}


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(
    ("case", "architecture"),
    # For sm_120 powers are computed two numbers at a time, which ``ptx`` does not read.
    [(case, target) for case in CASES for target in (75, 90, 120) if (case, target) != ("power", 120)],
)
def test_pairs_keep_more_bits_than_float32(case, architecture, fused):
    """A sum got a product unrounded, and its rest once more, where the compiler had fused them."""
    function, exact, bits = CASES[case]
    assert worst(function, exact, architecture, fused) < 2.0**-bits


def test_fused_products_are_told_apart():
    """``a * a`` in a sum of its own, as ptxas may fuse it: what is found would not be seen without."""
    ptx = "ld.global.b32 {%r1}; mul.f32 %r2, %r1, %r1; sub.f32 %r3, %r2, 0f3F800000; "
    ptx += "st.global.b32 [%rd1], {%r3};"
    a = 1 + 2.0**-12
    assert results(ptx, [a], fused=True) == [2.0**-11 + 2.0**-24]
    assert results(ptx, [a], fused=False) == [2.0**-11]

"""Every kernel of a model, compiled for every target: what the compiler made of it must be fit for the GPU.

A kernel that spills, or reads element by element, still gives right results: nothing but this would tell.
"""

from contextlib import suppress
from dataclasses import replace
from itertools import chain
from multiprocessing import get_context

import pytest

from crossiqa_edge.card import ModelCard
from crossiqa_edge.errors import BackendError
from crossiqa_edge.kernels import aot
from crossiqa_edge.kernels.aot import Compiled, build_pack, compile_kernel
from crossiqa_edge.kernels.catalogue import INT8, MODULES, TRAINING, specs, workloads
from crossiqa_edge.kernels.spec import Workload
from crossiqa_edge.kernels.targets import TARGETS

# A cubin is read from memory at its first launch, and a large one is unrolled code that will not stay in the
# instruction cache (128 KiB on an A100). The largest here has two thirds of it.
CUBIN_BUDGET = 128 << 10

# Group, model, type and batch -> targets. Nano at batch 1 is what edge boards run, on all of them; the
# others have the larger tiles, head_dim 64, and the other types, once for each kind of tensor core. Training
# and int8 are compiled at one workload each, tiny's, with the larger head_dim; training in float32, where
# registers are scarcest, at both head_dims.
CASES = [
    *(("inference", "nano", "fp16", 1, architecture) for architecture in TARGETS),
    *(("inference", "tiny", "fp16", 64, architecture) for architecture in (75, 80, 90, 100)),
    ("inference", "base", "bf16", 8, 89),
    ("inference", "small", "fp32", 1, 87),
    *(("training", "tiny", "fp16", 64, architecture) for architecture in TARGETS),
    *(("training", size, "fp32", 8, architecture) for size in ("nano", "tiny") for architecture in TARGETS),
    *(("int8", "tiny", "fp16", 1, architecture) for architecture in TARGETS),
    ("int8", "tiny", "fp16", 64, 75),
]
# Modules, and how many kernels of theirs multiply matrices at least: attention and four linear layers;
# attention and both halves of its gradient; attention and a linear layer in int8.
GROUPS = {"inference": (MODULES, 5), "training": (TRAINING, 3), "int8": (INT8, 2)}
# Three layers of a block have the same inner loop in int8 as the fourth, whose sum is the longest.
LEFT_OUT = ("linear_int8.qkv", "linear_int8.projection", "linear_int8.fc1")


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    """A cache that begins empty, and a second process that fills it from the other end: minutes less."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_CACHE_DIR", str(tmp_path_factory.mktemp("triton")))
        ahead = get_context("spawn").Process(target=compile_from_the_end, daemon=True)
        ahead.start()
        yield
        ahead.kill()
        ahead.join()


def compile_from_the_end():
    """What the tests are yet to ask for, last first, into Triton's cache. What fails is theirs to tell."""
    of_models = ((of_a_model(*case), case) for case in CASES[::-1])
    short = ((of_short_rows(*case), case) for case in SHORT_ROWS[::-1])
    for kernels, (*_, architecture) in chain(short, of_models):
        for spec in kernels:
            with suppress(BackendError):
                compile_kernel(spec, TARGETS[architecture])


def faults(compiled: Compiled) -> list[str]:
    """What is wrong with a compiled kernel, in words; nothing if it is fit."""
    spec, target, assembly = compiled.spec, compiled.target, compiled.assembly
    found = []
    if assembly.stack:
        found.append(f"spills {assembly.stack} bytes a thread")
    if compiled.shared > target.shared_limit:
        found.append(f"{compiled.shared} bytes of shared memory, {target.shared_limit} there are")
    if len(compiled.cubin) > CUBIN_BUDGET:
        found.append(f"{len(compiled.cubin)} bytes of code")
    products = {"mma.sync", target.matrix_instruction}  # small tiles take mma.sync on every target
    if spec.matrix and target.matrix_instruction and not products & set(assembly.instructions):
        found.append("no tensor cores")
    copies = any(name.startswith("cp.async") for name in assembly.instructions)
    if spec.async_copy and target.async_copy and not copies:
        found.append("no asynchronous copies")
    return [f"{spec.name} for {target.name}: {fault}" for fault in found]


def of_a_model(group, size, dtype, batch, architecture):
    (workload,) = workloads(ModelCard(size, size), [architecture], [dtype], [batch])
    return [spec for spec in specs(workload, GROUPS[group][0]) if spec.name not in LEFT_OUT]


@pytest.mark.parametrize(("group", "size", "dtype", "batch", "architecture"), CASES)
def test_kernels_are_fit_for_the_target(group, size, dtype, batch, architecture):
    chosen = of_a_model(group, size, dtype, batch, architecture)
    assert [fault for spec in chosen for fault in faults(compile_kernel(spec, TARGETS[architecture]))] == []
    # the gate saw all it is for
    assert sum(spec.matrix for spec in chosen) >= GROUPS[group][1] or dtype == "fp32"


# What rows leave over after whole steps is another piece of code at 50 tokens than at 197; a caller's mask
# takes registers of its own. Type, elements of a head, masked or not -> targets: all of them once, then one
# of each kind of tensor core. float32's gradient has the pieces of 197 tokens, which with a mask fit least on
# sm_100 and 110. No member of the family has heads of 128 elements: they are here for whoever's has, with the
# gradients of float32, the tightest.
SHORT_ROWS = [
    *(("fp16", 64, True, architecture) for architecture in TARGETS),
    *(("fp16", 32, False, architecture) for architecture in (75, 80, 90, 100, 120)),
    *(("fp32", 64, True, architecture) for architecture in (75, 80, 90, 100, 110, 120)),
    *(("fp32", 32, True, architecture) for architecture in (90, 100, 110)),
    *(("fp16", 128, True, architecture) for architecture in TARGETS),
    *(("fp32", 128, False, architecture) for architecture in TARGETS),
]


def of_short_rows(dtype, dim, mask, architecture):
    workload = Workload(architecture, dtype, 2, tokens=50, width=3 * dim, heads=3, hidden=12 * dim)
    training, *gradients = specs(workload, ["attention_backward"])
    tight = dtype != "fp32" or dim == 128 or TARGETS[architecture].matrix_instruction == "tcgen05.mma"
    chosen = [training, *(gradients if tight else ()), *specs(workload, ["attention_int8"])]
    return [masked(spec) for spec in chosen] if mask else chosen


@pytest.mark.parametrize(("dtype", "dim", "mask", "architecture"), SHORT_ROWS)
def test_attention_fits_in_short_rows(dtype, dim, mask, architecture):
    chosen = of_short_rows(dtype, dim, mask, architecture)
    assert [fault for spec in chosen for fault in faults(compile_kernel(spec, TARGETS[architecture]))] == []


def masked(spec):
    """The same kernel for a caller with a mask."""
    types = spec.signature | {"keep_pointer": "*u8"}
    signature = {name: types[name] for name in spec.function.arg_names if name in types}
    constants = {name: value for name, value in spec.constants.items() if name != "keep_pointer"}
    return replace(spec, signature=signature, constants=constants)


def test_a_pack_for_turing_takes_int8():
    pack = build_pack("nano", workloads(ModelCard("nano", "nano"), [75], ["fp16"], [1]), int8_specs)
    layers = {f"linear_int8.{layer}" for layer in ("qkv", "projection", "fc1", "fc2")}
    assert {use.name for use in pack.uses} == layers | {"attention_int8"}
    assert all(kernel.stack == 0 and kernel.constants["INT8_DOT"] == "False" for kernel in pack.kernels)


def int8_specs(workload):
    return specs(workload, INT8)


def test_triton_does_not_multiply_int8_on_turing():
    """Why ``integer_product.py`` has two ways. Where this fails, Triton has learnt it: one is enough."""
    (workload,) = workloads(ModelCard("nano", "nano"), [75], ["fp16"], [1])
    spec = next(specs(workload, INT8))
    direct = replace(spec, constants=spec.constants | {"INT8_DOT": True})
    with pytest.raises(BackendError, match=r"linear_int8.qkv for sm_75: Triton failed"):
        compile_kernel(direct, TARGETS[75])


def test_triton_uses_no_tensor_cores_on_turing():
    """Why no instruction is asked for there. Where this fails, name it in ``targets.py``."""
    (workload,) = workloads(ModelCard("nano", "nano"), [75], ["fp16"], [1])
    compiled = compile_kernel(next(specs(workload, INT8)), TARGETS[75])
    assert "mma.sync" not in compiled.ptx
    assert "fma.rn.f32" in compiled.ptx


def test_large_tiles_use_the_cores_of_their_generation():
    """wgmma on Hopper, tcgen05 on Blackwell: mma.sync alone would leave half of their arithmetic idle."""
    for architecture in (90, 100):
        (workload,) = workloads(ModelCard("base", "base"), [architecture], ["fp16"], [64])
        spec = next(spec for spec in specs(workload) if spec.name == "linear.qkv")
        compiled = compile_kernel(spec, TARGETS[architecture])
        assert compiled.assembly.instructions[TARGETS[architecture].matrix_instruction] > 0


def test_the_gate_notices_what_it_is_for(monkeypatch):
    """Take the alignment hints away: the reads become scalar, and the asynchronous copies are gone."""
    monkeypatch.setattr(aot, "_hints", lambda spec: {})
    (workload,) = workloads(ModelCard("nano", "nano"), [87], ["fp16"], [1])
    spec = next(spec for spec in specs(workload) if spec.name == "linear.qkv")
    assert faults(compile_kernel(spec, TARGETS[87])) == ["linear.qkv for sm_87: no asynchronous copies"]

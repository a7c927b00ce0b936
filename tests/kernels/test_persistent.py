"""The persistent kernel: its phases and their sum in the interpreter, its code for nine GPUs.

The interpreter runs one program after another, so that a barrier between several would never open: there the
whole kernel runs on one program, and each phase by itself on several.
"""

import copy

import pytest
import torch
import triton
import triton.language as tl
from closeness import assert_as_exact_as_torch
from interpreter import interpreted, operators_interpreted
from test_compile_gate import CUBIN_BUDGET
from timm.models.vision_transformer import Block

from crossiqa_edge.card import ModelCard
from crossiqa_edge.errors import ConfigError
from crossiqa_edge.kernels.accelerate import FusedBlock
from crossiqa_edge.kernels.aot import compile_kernel
from crossiqa_edge.kernels.persistent import launch_encoder, packed_parameters, specs
from crossiqa_edge.kernels.persistent_kernels import added_linear, normalised_linear, shared_attention
from crossiqa_edge.kernels.quality import FusedQuality
from crossiqa_edge.kernels.spec import Workload
from crossiqa_edge.kernels.targets import TARGETS
from crossiqa_edge.model.family import family_size
from crossiqa_edge.model.quality import QualityModel

WIDTH, HEADS, HIDDEN = 64, 2, 128


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.manual_seed(seed))


def blocks(**options):
    """Two of timm's, every parameter of which is its own."""
    torch.manual_seed(0)
    made = [Block(WIDTH, HEADS, qkv_bias=True, mlp_ratio=2.0, **options) for _ in range(2)]
    for block in made:
        block.eval().requires_grad_(False)
        block.norm1.eps = block.norm2.eps = 1e-6
        for parameter in block.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return made


def packed(made, dtype=torch.float32):
    return packed_parameters(FusedBlock(copy.deepcopy(block).to(dtype)) for block in made)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("tokens", [1, 50])
def test_it_computes_what_the_blocks_compute(tokens, dtype):
    made, x = blocks(), normal(1, tokens, WIDTH).to(dtype)
    with interpreted():
        out = launch_encoder(x, packed(made, dtype), heads=HEADS, hidden=HIDDEN)
    own, exact = x, x.double()
    for block in made:
        own, exact = copy.deepcopy(block).to(dtype)(own), copy.deepcopy(block).double()(exact)
    assert_as_exact_as_torch(out, own, exact)


def test_tokens_before_the_first_block_are_left_alone():
    x = normal(1, 3, WIDTH)
    with interpreted():
        launch_encoder(x, packed(blocks()), heads=HEADS, hidden=HIDDEN)
    assert torch.equal(x, normal(1, 3, WIDTH))


@triton.jit
def phase_kernel(x_pointer, weight_pointer, output_pointer, tokens, PHASE: tl.constexpr):
    """One phase on three programs."""
    if PHASE == "normalised" or PHASE == "normalised at once":
        norm = weight_pointer + 64 * 64 + 64
        CHUNK: tl.constexpr = 32 if PHASE == "normalised" else 128
        normalised_linear(
            *(x_pointer, norm, weight_pointer, output_pointer, tokens, 64, 64, False),
            *(1e-6, 3, "ieee", 16, 32, 32, CHUNK),
        )
    elif PHASE == "added":
        added_linear(x_pointer, weight_pointer, output_pointer, tokens, 64, 64, 3, "ieee", 16, 32, 32)
    else:
        shared_attention(x_pointer, output_pointer, tokens, 2, 32, 1.0, 3, "ieee", 16, 32, (16,), False)


@pytest.mark.parametrize("phase", ["normalised", "normalised at once", "added", "attention"])
def test_several_programs_do_each_tile_once(phase):
    """Added twice, a tile of the stream would show it; left out, NaN would."""
    x = normal(40, 3 * WIDTH if phase == "attention" else WIDTH)
    weight, bias, norm = normal(WIDTH, WIDTH, seed=1), normal(WIDTH, seed=2), normal(2, WIDTH, seed=3)
    added = phase == "added"
    output = normal(40, WIDTH, seed=4) if added else torch.full((40, WIDTH), torch.nan)
    expected = {
        "normalised": lambda: torch.nn.functional.layer_norm(x, (WIDTH,), *norm, 1e-6) @ weight.T + bias,
        "added": lambda: output + x @ weight.T + bias,
        "attention": lambda: _attention(x),
    }[phase.removesuffix(" at once")]()
    parameters = torch.cat([weight.flatten(), bias, norm.flatten()])
    with interpreted():
        phase_kernel[(3,)](x, parameters, output, 40, PHASE=phase)
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-4)


def _attention(x):
    query, key, value = x.view(40, 3, HEADS, 32).permute(1, 2, 0, 3)
    context = torch.nn.functional.scaled_dot_product_attention(query, key, value, scale=1.0)
    return context.transpose(0, 1).flatten(1)


def test_a_model_uses_it_for_one_view_on_a_gpu_where_it_is_told_to(monkeypatch):
    torch.manual_seed(0)
    model = QualityModel(ModelCard("micro", "micro")).eval()
    plain, persistent = FusedQuality(model), FusedQuality(model, persistent=True)
    launches = []

    def counted(*arguments, **options):
        launches.append(options)
        return launch_encoder(*arguments, **options)

    monkeypatch.setattr("crossiqa_edge.kernels.persistent.launch_encoder", counted)
    x = normal(2, 5, 64)
    with torch.no_grad():
        expected = plain.encoded(x)
        assert torch.equal(persistent.encoded(x[:1]), plain.encoded(x[:1]))  # a CPU has its references
        with operators_interpreted():
            for result in (plain.encoded(x[:1]), persistent.encoded(x)[:1]):
                assert not launches
                torch.testing.assert_close(result, expected[:1], rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(persistent.encoded(x[:1]), expected[:1], rtol=1e-4, atol=1e-4)
    assert len(launches) == 1


def test_refusals():
    with pytest.raises(ConfigError, match="no blocks with LayerScale"):
        packed(blocks(init_values=0.1))
    with pytest.raises(ConfigError, match="that 64 divides"):
        packed([Block(32, 1, qkv_bias=True)])
    with pytest.raises(ConfigError, match="not 2 of 5"):
        launch_encoder(normal(2, 5, WIDTH), packed(blocks()), heads=HEADS, hidden=HIDDEN)
    with pytest.raises(ConfigError, match="not 1 of 257; persistent=False"):
        launch_encoder(normal(1, 257, WIDTH), packed(blocks()), heads=HEADS, hidden=HIDDEN)
    with pytest.raises(ConfigError, match="float64 and 32; persistent=False"):
        launch_encoder(normal(1, 5, WIDTH).double(), packed(blocks()), heads=HEADS, hidden=HIDDEN)
    with pytest.raises(ConfigError, match="float32 and 8; persistent=False"):
        launch_encoder(normal(1, 5, WIDTH), packed(blocks()), heads=8, hidden=HIDDEN)


def test_a_nearly_constant_row():
    """1 / sqrt(epsilon) magnifies what rounding leaves of its mean."""
    made, x = blocks(), 100 + 1e-3 * normal(1, 5, WIDTH)
    with interpreted():
        out = launch_encoder(x, packed(made), heads=HEADS, hidden=HIDDEN)
    own, exact = x, x.double()
    for block in made:
        own, exact = block(own), copy.deepcopy(block).double()(exact)
    assert_as_exact_as_torch(out, own, exact)


# As many programs as a T4, A100, A10, Orin, L4, H100, B200, Thor and an RTX 5090 have multiprocessors.
PROGRAMS = {75: 40, 80: 108, 86: 84, 87: 16, 89: 58, 90: 132, 100: 148, 110: 20, 120: 170}
# Size, type and tokens -> targets. base in fp16 on all: its rows are the widest, its code the longest. The
# other members and types, and the most tokens, on some of each kind, with and without tensor cores.
CASES = [
    *(("base", "fp16", 197, architecture) for architecture in PROGRAMS),
    *(("nano", "fp16", 197, architecture) for architecture in (75, 80, 87, 90, 100, 120)),
    *(("tiny", "fp16", 256, architecture) for architecture in (75, 80, 90, 100, 120)),
    *(("small", "fp16", 197, architecture) for architecture in (86, 110)),
    *(("base", "bf16", 197, architecture) for architecture in (80, 100)),
    *(("tiny", "tf32", 256, architecture) for architecture in (80, 90, 100)),
    *(("small", "tf32", 197, architecture) for architecture in (100, 110, 120)),
    *(("tiny", "fp32", 197, architecture) for architecture in (75, 86, 90, 120)),
]


@pytest.mark.parametrize(("size", "dtype", "tokens", "architecture"), CASES)
def test_it_compiles_without_spills(size, dtype, tokens, architecture):
    member = family_size(size)
    shape = {"width": member.width, "heads": member.heads, "hidden": 4 * member.width}
    workload = Workload(architecture, dtype, batch=1, tokens=tokens, **shape)
    target = TARGETS[architecture]
    (spec,) = specs(workload, layers=member.depth, programs=PROGRAMS[architecture])
    compiled = compile_kernel(spec, target)
    assert compiled.assembly.stack == 0
    assert compiled.shared <= target.shared_limit
    assert len(compiled.cubin) <= CUBIN_BUDGET
    if target.matrix_instruction and dtype != "fp32":
        assert {"mma.sync", "cp.async.cg"} <= set(compiled.assembly.instructions)
    if architecture >= 80:
        for half in ("atom.global.gpu.release.add", "ld.global.gpu.acquire"):  # of five barriers a block
            assert compiled.ptx.count(half) == 5

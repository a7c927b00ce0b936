"""What a launch tells Triton's compiler is what it is told ahead of time: else both would be other code."""

import pytest
import torch
import triton
from attention_cases import packed
from test_embed import module, operands, pictures
from test_head import parameters as head_parameters
from triton.runtime.jit import JITFunction

from crossiqa_edge.errors import BackendError
from crossiqa_edge.kernels import device
from crossiqa_edge.kernels.aot import compile_kernel
from crossiqa_edge.kernels.attention_backward import launch_attention_backward
from crossiqa_edge.kernels.attention_forward import launch_attention, specs
from crossiqa_edge.kernels.attention_int8 import launch_attention_int8
from crossiqa_edge.kernels.embed import launch_embed
from crossiqa_edge.kernels.head import launch_head
from crossiqa_edge.kernels.layer_norm import launch_layer_norm
from crossiqa_edge.kernels.layer_norm_backward import launch_layer_norm_backward
from crossiqa_edge.kernels.linear import launch_linear
from crossiqa_edge.kernels.linear_int8 import launch_linear_int8, quantise_rows
from crossiqa_edge.kernels.persistent import launch_encoder
from crossiqa_edge.kernels.persistent import specs as encoder_specs
from crossiqa_edge.kernels.spec import Workload
from crossiqa_edge.kernels.targets import TARGETS, compile_options

ROWS, SQUARE, VECTOR = torch.ones(4, 32, dtype=torch.float16), torch.ones(32, 32), torch.ones(32)
QKV, OUT, SUMS = packed(1, 50, 2, 32), torch.ones(1, 50, 64, dtype=torch.float16), torch.ones(4, 1, 2, 50)
LAUNCHES = {
    "attention": (launch_attention, QKV, None, 0.2),
    "attention_int8": (launch_attention_int8, QKV, None, 0.2),
    "attention_backward": (launch_attention_backward, OUT, QKV, None, OUT, SUMS, 0.2),
    "embed": (launch_embed, operands(module(True), pictures()[0])),
    "head": (launch_head, ROWS[None], *head_parameters(32), 1e-6),
    "layer_norm": (launch_layer_norm, ROWS, VECTOR, VECTOR, 1e-6),
    "layer_norm_backward": (launch_layer_norm_backward, ROWS, None, ROWS, VECTOR, 1e-6),
    "linear": (launch_linear, ROWS, SQUARE.half()),
    "linear_int8": (launch_linear_int8, ROWS, *quantise_rows(SQUARE)),
}


@pytest.fixture
def launched(monkeypatch):
    """The options of every launch, which goes no further."""
    options = []
    monkeypatch.setattr(JITFunction, "run", lambda kernel, *args, **given: options.append(given))
    return options


@pytest.mark.parametrize("name", LAUNCHES)
def test_registers_are_named_where_tensor_memory_is_used(name, launched, monkeypatch):
    """Left to itself there, ptxas guesses too few, and spills."""
    for architecture in (90, 100, 110, 120):
        monkeypatch.setattr(device, "STAND_IN_ARCHITECTURE", architecture)
        launched.clear()
        launch, *arguments = LAUNCHES[name]
        launch(*arguments)
        assert launched
        for options in launched:
            assert ("maxnreg" in options) == (architecture in (100, 110))


@pytest.mark.parametrize("architecture", [80, 100])
def test_ahead_of_time_means_the_same(architecture, launched, monkeypatch):
    monkeypatch.setattr(device, "STAND_IN_ARCHITECTURE", architecture)
    launch, *arguments = LAUNCHES["attention"]
    launch(*arguments)
    seen = {}

    def compiler(source, target, options):
        seen.update(options)
        raise RuntimeError("seen enough")

    monkeypatch.setattr(triton, "compile", compiler)
    (spec,) = specs(Workload(architecture, "fp16", batch=1, tokens=50, width=64, heads=2, hidden=256))
    with pytest.raises(BackendError, match="seen enough"):
        compile_kernel(spec, TARGETS[architecture])
    assert seen == {name: launched[0][name] for name in seen}


def test_no_more_registers_than_there_are():
    for warps in (1, 2, 4, 8, 16):
        for options in (compile_options(100, warps), compile_options(75, warps, alone=True)):
            assert options["maxnreg"] <= 255
            assert options["maxnreg"] * 32 * warps <= 1 << 16


def test_a_program_alone_on_a_multiprocessor_may_have_all_registers(launched, monkeypatch):
    """At a launch as ahead of time."""
    for architecture in TARGETS:
        monkeypatch.setattr(device, "STAND_IN_ARCHITECTURE", architecture)
        launch_encoder(torch.ones(1, 50, 64), torch.ones(2, 9), heads=2, hidden=256)
        workload = Workload(architecture, "fp32", batch=1, tokens=50, width=64, heads=2, hidden=256)
        (spec,) = encoder_specs(workload, layers=2, programs=1)
        expected = compile_options(architecture, spec.warps, spec.stages, alone=spec.alone)
        assert spec.alone
        assert launched[-1].items() >= (expected | {"maxnreg": 255}).items()

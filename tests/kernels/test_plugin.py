"""The entry that TensorRT launches: right numbers, and no parameter that TensorRT would not pass."""

import subprocess

import pytest
import torch
from triton import knobs

from crossiqa_edge.errors import BackendError
from crossiqa_edge.kernels.assembly import without_hidden_parameters
from crossiqa_edge.kernels.attention import attention_reference
from crossiqa_edge.kernels.attention_tiles import forward_tile
from crossiqa_edge.kernels.plugin import TACTICS, attention_plugin_kernel, compile_plugin, tactics

HEADS, DIM = 2, 32


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))


@pytest.mark.parametrize("tactic", range(TACTICS))
def test_every_tactic_computes_attention(interpret, tactic):
    """In float32 against the float32 reference: both round by 6e-8, and sums have 50 terms."""
    tokens, scale = 50, 0.3
    tile = tactics(80, tokens, DIM, "fp32")[tactic]
    qkv = torch.randn(2, tokens, 3 * HEADS * DIM, generator=torch.Generator().manual_seed(0))
    out = torch.full((2, tokens, HEADS * DIM), float("nan"))
    attention_plugin_kernel[(-(-tokens // tile.block), HEADS, 2)](
        *(qkv, tokens, out),
        **{"SCALE": scale, "HEADS": HEADS, "DIM": DIM},
        **{"BLOCK": tile.block, "STEP": tile.step, "REST": tile.rest, "SLICED": tile.sliced},
    )
    expected, _ = attention_reference(qkv.view(2, tokens, 3, HEADS, DIM), None, scale)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("architecture", [75, 87, 120])
@pytest.mark.parametrize("dtype", ["fp16", "fp32"])
def test_tactics_differ_and_begin_with_the_launchers_own(architecture, dtype):
    first, second = tactics(architecture, 197, 64, dtype)
    assert first == forward_tile(architecture, 197, 64, dtype)
    assert first.block != second.block


@pytest.mark.parametrize(("architecture", "suffix"), [(87, ""), (90, "a")])
def test_the_entry_has_three_parameters_and_assembles(tmp_path, architecture, suffix):
    kernel = compile_plugin(
        architecture,
        "fp16",
        tokens=197,
        heads=HEADS,
        head_dim=DIM,
        scale=1.0,
        tile=tactics(architecture, 197, DIM, "fp16")[0],
    )
    assert kernel.ptx.count(".param .") == 3
    assert (kernel.block, kernel.threads) == (64, 128)
    source = tmp_path / "kernel.ptx"
    source.write_text(kernel.ptx)
    command = [
        knobs.nvidia.ptxas.path,
        f"--gpu-name=sm_{architecture}{suffix}",
        source,
        "-o",
        tmp_path / "out",
    ]
    subprocess.run(command, check=True, capture_output=True)


PTX = """
.visible .entry kernel(
	.param .u64 kernel_param_0,
	.param .u64 kernel_param_1,
	.param .u64 kernel_param_2
)
{{ {body} }}
"""


def test_hidden_parameters_are_taken_off_the_end():
    stripped = without_hidden_parameters(PTX.format(body="ld.param.b64 %rd1, [kernel_param_0];"))
    assert "kernel_param_0\n)" in stripped
    assert "kernel_param_1" not in stripped
    assert "[kernel_param_0]" in stripped


def test_a_kernel_that_reads_a_hidden_parameter_is_refused():
    with pytest.raises(BackendError, match="scratch memory"):
        without_hidden_parameters(PTX.format(body="ld.param.b64 %rd1, [kernel_param_2];"))

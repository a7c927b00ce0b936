"""Experimental: all blocks of an encoder in one launch, for one view. No GPU has run it yet.

At batch 1 a block is seven launches of a few microseconds, each of which waits for the last program of the
one before. Here as many programs as the GPU has multiprocessors stay for the whole encoder and share out the
tiles of each phase; between phases they wait for each other at a barrier in global memory:

    qkv = linear(LayerNorm(x));  context = attention(qkv);  x += linear(context)
    hidden = GELU(linear(LayerNorm(x)));  x += linear(hidden)

Five phases a block; weights come through the L2 cache, which holds those of nano, tiny and small. No phase
holds a row as wide as the encoder is, so that registers and shared memory suffice at any width. All
programs must run at the same time, so the grid is no larger than the number of multiprocessors and the launch
is a cooperative one, which the driver refuses where they would not fit. A GPU uses it for batches of one
where ``FusedQuality`` was made with ``persistent=True``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from crossiqa_edge.errors import ConfigError
from crossiqa_edge.kernels.accelerate import FusedBlock
from crossiqa_edge.kernels.attention import HEAD_DIMS
from crossiqa_edge.kernels.attention_tiles import WHOLE_ROW
from crossiqa_edge.kernels.device import DTYPES, architecture, current_device, dot_precision
from crossiqa_edge.kernels.persistent_kernels import encoder_kernel
from crossiqa_edge.kernels.persistent_tiles import PersistentTile, persistent_tile
from crossiqa_edge.kernels.rows import LAYER_NORM_EPSILON
from crossiqa_edge.kernels.spec import KernelSpec, Workload
from crossiqa_edge.kernels.targets import compile_options

_OTHERWISE = "persistent=False takes it"
_GRANULE = 64  # widths are multiples of it, so that no tile of the inner loops is masked


class PersistentBlocks(nn.Module):
    """What ``blocks`` compute for one view, in one launch; it holds a copy of their parameters.

    Raises:
        ConfigError: blocks that the kernel does not take.
    """

    packed: Tensor

    def __init__(self, blocks: Iterable[nn.Module]) -> None:
        super().__init__()
        fused = [block for block in blocks if isinstance(block, FusedBlock)]
        self.register_buffer("packed", packed_parameters(fused))
        self.heads, self.hidden = fused[0].attn.num_heads, fused[0].mlp.fc1.weight.shape[0]
        self.epsilon = fused[0].norm1.eps

    def forward(self, tokens: Tensor) -> Tensor:
        """(1, N, width) -> the same, of the last block; N is 256 at most."""
        return launch_encoder(tokens, self.packed, heads=self.heads, hidden=self.hidden, epsilon=self.epsilon)


def packed_parameters(blocks: Iterable[FusedBlock]) -> Tensor:
    """(layers, ...): the parameters of ``blocks`` as ``encoder_kernel`` reads them, a copy.

    For each: norm1, qkv, projection, norm2, fc1, fc2; of each the weight, flattened, then the bias.

    Raises:
        ConfigError: LayerScale, a layer without bias, or widths that are no multiple of 64.
    """
    return torch.stack([torch.cat([value.flatten() for value in _parameters(block)]) for block in blocks])


def _parameters(block: FusedBlock) -> Iterator[Tensor]:
    if any(True for _ in block.ls1.parameters()):
        raise ConfigError("the persistent kernel takes no blocks with LayerScale")
    parts = (block.norm1, block.attn.qkv, block.attn.proj, block.norm2, block.mlp.fc1, block.mlp.fc2)
    for part in parts:
        if part.bias is None or len(part.bias) % _GRANULE:
            raise ConfigError(
                f"the persistent kernel takes layers with a bias, of widths that {_GRANULE} divides"
            )
        yield part.weight.detach()
        yield part.bias.detach()


def launch_encoder(
    tokens: Tensor, parameters: Tensor, *, heads: int, hidden: int, epsilon: float = LAYER_NORM_EPSILON
) -> Tensor:
    """Run the kernel: tokens (1, N, width) before the first block -> after the last one, of the same type.

    Args:
        tokens: float16, bfloat16 or float32; N is 1 to 256; each head has width / heads elements, 16, 32, 64
            or 128.
        parameters: from ``packed_parameters``, of the type of ``tokens``.
        heads, hidden: attention heads, and width inside the MLP.
        epsilon: of the LayerNorms.

    Raises:
        ConfigError: more than one view, more tokens than a whole row of attention, other types or heads: none
            of them was compiled and looked at.
    """
    views, count, width = tokens.shape
    if views != 1 or count > WHOLE_ROW:
        raise ConfigError(
            f"the persistent kernel takes 1 view of at most {WHOLE_ROW} tokens, not {views} of {count}; "
            f"{_OTHERWISE}"
        )
    if tokens.dtype not in DTYPES or width not in [heads * dim for dim in HEAD_DIMS]:
        raise ConfigError(
            f"the persistent kernel takes float16, bfloat16 or float32 and heads of "
            f"{', '.join(map(str, HEAD_DIMS))} elements, not {tokens.dtype} and {width / heads:g}; "
            f"{_OTHERWISE}"
        )
    stream = tokens.clone(memory_format=torch.contiguous_format)
    working = [tokens.new_empty(count, columns) for columns in (3 * width, width, hidden)]
    counter = torch.zeros(1, dtype=torch.int32, device=tokens.device)
    programs, gpu = _multiprocessors(tokens.device), architecture(tokens.device)
    precision = dot_precision(tokens.dtype)
    dtype = "tf32" if precision == "tf32" else DTYPES[tokens.dtype]
    tile = persistent_tile(gpu, count, width, width // heads, dtype)
    with current_device(tokens.device):
        encoder_kernel[(programs,)](
            *(stream, parameters, *working, counter, count),
            **_constants(tile, len(parameters), heads, width, hidden, programs),
            EPSILON=epsilon,
            PRECISION=precision,
            launch_cooperative_grid=True,
            **compile_options(gpu, tile.warps, tile.stages, alone=True),
        )
    return stream


def _multiprocessors(device: torch.device) -> int:
    """Programs that certainly run at once; on a CPU the interpreter runs them one after another, so one."""
    if device.type != "cuda":
        return 1
    return int(torch.cuda.get_device_properties(device).multi_processor_count)


def _constants(
    tile: PersistentTile, layers: int, heads: int, width: int, hidden: int, programs: int
) -> dict[str, int | float | tuple[int, ...]]:
    dim, keys = width // heads, tile.attention
    return {
        **{"LAYERS": layers, "HEADS": heads, "DIM": dim, "HIDDEN": hidden, "SCALE": dim**-0.5},
        **{"PROGRAMS": programs, "ROWS": tile.rows, "BLOCK": tile.columns, "DEPTH": tile.depth},
        **{"CHUNK": tile.chunk, "STEP": keys.step, "REST": keys.rest, "SLICED": keys.sliced},
    }


def specs(workload: Workload, *, layers: int, programs: int) -> Iterator[KernelSpec]:
    """The kernel for ``layers`` blocks on ``programs`` multiprocessors, to be compiled and looked at.

    The type of ``workload`` may be tf32 as well: float32 in memory, multiplied on tensor cores.
    """
    pointers = ("stream", "parameters", "qkv", "context", "hidden")
    sizes = (layers, workload.heads, workload.width, workload.hidden, programs)
    memory, precision = ("fp32", "tf32") if workload.dtype == "tf32" else (workload.dtype, "ieee")
    tile = persistent_tile(
        *(workload.architecture, workload.tokens, workload.width, workload.head_dim, workload.dtype)
    )
    yield KernelSpec(
        name="encoder",
        function=encoder_kernel,
        signature={f"{name}_pointer": f"*{memory}" for name in pointers}
        | {"counter_pointer": "*i32", "tokens": "i32"},
        constants={**_constants(tile, *sizes), "EPSILON": LAYER_NORM_EPSILON, "PRECISION": precision},
        grid=((("programs", 1),),),
        sizes={"programs": programs, "tokens": workload.tokens},
        warps=tile.warps,
        stages=tile.stages,
        alone=True,
        matrix=workload.dtype != "fp32",
        async_copy=tile.stages > 1,
    )

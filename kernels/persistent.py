"""Experimental: all blocks of an encoder in one launch, for one view. No GPU has run it yet.

At batch 1 a block is seven launches of a few microseconds, each of which waits for the last program of the
one before. Here as many programs as the GPU has multiprocessors stay for the whole encoder and share out the
tiles of each phase; between phases they wait for each other at a barrier in global memory:

    qkv = linear(LayerNorm(x));  context = attention(qkv);  x += linear(context)
    hidden = GELU(linear(LayerNorm(x)));  x += linear(hidden)

Five phases a block; weights come through the L2 cache, which holds those of nano, tiny and small. All
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
from crossiqa_edge.kernels.attention_tiles import WHOLE_ROW, whole_rows
from crossiqa_edge.kernels.device import architecture, current_device, dot_precision
from crossiqa_edge.kernels.persistent_kernels import encoder_kernel
from crossiqa_edge.kernels.rows import LAYER_NORM_EPSILON
from crossiqa_edge.kernels.spec import KernelSpec, Workload
from crossiqa_edge.kernels.targets import compile_options
from crossiqa_edge.kernels.tiles import power_of_two

BLOCK_ROWS, BLOCK_COLUMNS, BLOCK_DEPTH = 16, 32, 64  # small: at 197 tokens, tiles for every multiprocessor
WARPS, STAGES = 4, 3
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
        tokens: float16, bfloat16 or float32; N is 1 to 256; each head has width / heads elements.
        parameters: from ``packed_parameters``, of the type of ``tokens``.
        heads, hidden: attention heads, and width inside the MLP.
        epsilon: of the LayerNorms.

    Raises:
        ConfigError: more than one view, or more tokens than a whole row of attention.
    """
    views, count, width = tokens.shape
    if views != 1 or count > WHOLE_ROW:
        raise ConfigError(
            f"the persistent kernel takes 1 view of at most {WHOLE_ROW} tokens, not {views} of {count}"
        )
    stream = tokens.clone(memory_format=torch.contiguous_format)
    working = [tokens.new_empty(count, columns) for columns in (3 * width, width, hidden)]
    counter = torch.zeros(1, dtype=torch.int32, device=tokens.device)
    programs = _multiprocessors(tokens.device)
    with current_device(tokens.device):
        encoder_kernel[(programs,)](
            *(stream, parameters, *working, counter, count),
            **_constants(len(parameters), heads, width, hidden, count, programs),
            EPSILON=epsilon,
            PRECISION=dot_precision(tokens.dtype),
            launch_cooperative_grid=True,
            **compile_options(architecture(tokens.device), WARPS, STAGES),
        )
    return stream


def _multiprocessors(device: torch.device) -> int:
    """Programs that certainly run at once; on a CPU the interpreter runs them one after another, so one."""
    if device.type != "cuda":
        return 1
    return int(torch.cuda.get_device_properties(device).multi_processor_count)


def _constants(
    layers: int, heads: int, width: int, hidden: int, tokens: int, programs: int
) -> dict[str, int | float | tuple[int, ...]]:
    dim = width // heads
    return {
        **{"LAYERS": layers, "HEADS": heads, "DIM": dim, "HIDDEN": hidden, "SCALE": dim**-0.5},
        **{"PROGRAMS": programs, "PIECES": whole_rows(tokens, BLOCK_ROWS, WARPS).rest},
        **{"ROWS": BLOCK_ROWS, "BLOCK": BLOCK_COLUMNS, "STEP": BLOCK_DEPTH},
        "BLOCK_WIDTH": power_of_two(width),
    }


def specs(workload: Workload, *, layers: int, programs: int) -> Iterator[KernelSpec]:
    """The kernel for ``layers`` blocks on ``programs`` multiprocessors, to be compiled and looked at."""
    pointers = ("stream", "parameters", "qkv", "context", "hidden")
    sizes = (layers, workload.heads, workload.width, workload.hidden, workload.tokens, programs)
    yield KernelSpec(
        name="encoder",
        function=encoder_kernel,
        signature={f"{name}_pointer": f"*{workload.dtype}" for name in pointers}
        | {"counter_pointer": "*i32", "tokens": "i32"},
        constants={**_constants(*sizes), "EPSILON": LAYER_NORM_EPSILON, "PRECISION": "ieee"},
        grid=((("programs", 1),),),
        sizes={"programs": programs, "tokens": workload.tokens},
        warps=WARPS,
        stages=STAGES,
        matrix=True,
        async_copy=True,
    )

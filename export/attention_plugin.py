"""The TensorRT side of ``crossiqa::FusedAttention``: a plugin whose kernel is compiled ahead of time.

The plugin is written in Python, yet an engine with it runs without Python: TensorRT asks for the compiled
kernel while it builds, times the tiles that it is offered, and keeps the best inside the engine. Needs the
ahead-of-time interface of ``tensorrt.plugin`` (10.8 or newer; TensorRT for RTX has none).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from types import GenericAlias
from typing import Any

from crossiqa_edge.errors import BackendError, MissingDependencyError
from crossiqa_edge.export.attention_nodes import NAME, NAMESPACE, has_nodes, only_nodes
from crossiqa_edge.runtime.devices import device

try:
    import onnx
except ImportError as error:
    raise MissingDependencyError("building for TensorRT", "export") from error

IDENTITY = f"{NAMESPACE}::{NAME}"
_TYPES = {"FLOAT": "fp32", "HALF": "fp16", "BF16": "bf16"}  # TensorRT's names -> ours
_COMBINATION = "FP32|FP16|BF16, FP32|FP16|BF16"  # input and output are of one type


def obstacle(plugin: Any) -> str | None:
    """Why ``plugin``, the module ``tensorrt.plugin``, cannot have ours; None if it can."""
    if not all(hasattr(plugin, name) for name in ("register", "autotune", "aot_impl")):
        return "this TensorRT takes no plugins compiled ahead of time; install TensorRT 10.8 or newer"
    return None


def for_plugin(graph: bytes, runtime: str) -> bytes:
    """The ONNX file ``graph`` as a builder of ``runtime`` is to parse it, with the plugin registered.

    A graph that does not ask for the plugin is left alone, and so is every graph for TensorRT for RTX,
    which has no such plugins and computes the node's function.

    Raises:
        BackendError: the graph asks for the plugin, and this TensorRT or this machine cannot have it.
    """
    if runtime != "tensorrt" or not has_nodes(onnx.load_from_string(graph)):
        return graph
    here = device()
    if here is None:
        raise BackendError("the attention plugin is compiled for the GPU at hand, and there is none")
    _registered(here.capability)
    return only_nodes(graph)


@cache
def _registered(architecture: int) -> None:
    """``register``, once in a process: TensorRT refuses a second time."""
    from crossiqa_edge.kernels.targets import TARGETS

    if architecture not in TARGETS:
        raise BackendError(f"there is no attention plugin for sm_{architecture}; export without --plugin")
    try:
        plugin = import_module("tensorrt.plugin")
    except ImportError as error:
        raise BackendError(
            f"this TensorRT has no Python plugins ({error}); export without --plugin"
        ) from error
    register(plugin, architecture)


def register(plugin: Any, architecture: int) -> None:
    """Register the plugin, once in a process, for engines of GPUs of ``architecture`` (87 for 8.7).

    Args:
        plugin: the module ``tensorrt.plugin``.

    Raises:
        BackendError: that module has no ahead-of-time interface.
    """
    reason = obstacle(plugin)
    if reason:
        raise BackendError(reason)
    try:
        from crossiqa_edge.kernels.plugin import TACTICS, compile_plugin, tactics
    except ImportError as error:
        raise MissingDependencyError("compiling the attention plugin", "train") from error
    tensor = plugin.TensorDesc
    attributes = {"heads": int, "scale": float}

    def describe(qkv: Any, heads: Any, scale: Any) -> Any:
        batch, tokens, packed = (qkv.shape_expr[axis] for axis in range(3))
        return plugin.from_shape_expr((batch, tokens, packed // 3), qkv.dtype)

    def combinations(qkv: Any, outputs: Any) -> Any:
        return [plugin.AutoTuneCombination(_COMBINATION, "LINEAR", list(range(1, TACTICS + 1)))]

    def implement(qkv: Any, heads: Any, scale: Any, outputs: Any, tactic: Any) -> Any:
        dtype = _TYPES[qkv.dtype.name]
        tokens, packed = int(qkv.shape[1]), int(qkv.shape[2])
        head_dim = packed // (3 * heads)
        tile = tactics(architecture, tokens, head_dim, dtype)[tactic - 1]
        kernel = compile_plugin(
            architecture, dtype, tokens=tokens, heads=heads, head_dim=head_dim, scale=scale, tile=tile
        )
        launch = plugin.KernelLaunchParams()
        launch.grid_x = plugin.cdiv(qkv.shape_expr[1], kernel.block)
        launch.grid_y = heads
        launch.grid_z = qkv.shape_expr[0]
        launch.block_x = kernel.threads
        launch.shared_mem = kernel.shared
        numbers = plugin.SymIntExprs(1)
        numbers[0] = plugin.SymInt32(qkv.shape_expr[1])
        return kernel.entry, kernel.ptx, launch, numbers

    outputs = {"outputs": GenericAlias(tuple, (tensor,))}
    made = tuple[str, str, plugin.KernelLaunchParams, plugin.SymIntExprs]
    plugin.register(IDENTITY)(_annotated(describe, qkv=tensor, **attributes, result=tensor))
    plugin.autotune(IDENTITY)(
        _annotated(combinations, qkv=tensor, **outputs, result=list[plugin.AutoTuneCombination])
    )
    plugin.aot_impl(IDENTITY)(
        _annotated(implement, qkv=tensor, **attributes, **outputs, tactic=int, result=made)
    )


def _annotated(function: Callable[..., Any], *, result: Any, **parameters: Any) -> Callable[..., Any]:
    """``function`` with the annotations that TensorRT reads: they name types that only its module has."""
    function.__annotations__ = {**parameters, "return": result}
    return function

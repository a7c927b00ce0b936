"""One builder for TensorRT 10, TensorRT 11 and TensorRT for RTX: an ONNX graph in, a plan out.

All three take a strongly typed network, in which every type is the graph's: precision flags, which
TensorRT 11 no longer has, are never used. What one of them lacks is refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from crossiqa_edge.errors import ArtefactError, BackendError, ConfigError
from crossiqa_edge.export.attention_plugin import for_plugin
from crossiqa_edge.export.targets import Options, Progress
from crossiqa_edge.export.trt_graph import for_tensorrt
from crossiqa_edge.export.trt_layers import Layer, read_layers
from crossiqa_edge.export.trt_progress import Phases, interruptible, monitor
from crossiqa_edge.export.trt_weights import constants_beside
from crossiqa_edge.export.turing_graph import without_float32_products
from crossiqa_edge.runtime.devices import RUNTIMES, absence, device
from crossiqa_edge.runtime.stripped_plan import join

# The architectures for which TensorRT for RTX compiles ahead of time, without a GPU (its ComputeCapability).
RTX_CAPABILITIES = (75, 80, 86, 89, 120, 121)

# Part of every engine's key. Raise it with what ``_configure`` and ``graph_of_plan`` do whatever the options,
# so that an engine that was built otherwise is not taken for one of today's.
REVISION = 2

_TURING = 75


@dataclass(frozen=True, slots=True)
class Plan:
    """What a build gave.

    Attributes:
        data: the serialised plan; without weights, as ``crossiqa_edge.runtime.stripped_plan`` keeps it.
        layers: as the builder described them.
        timings: the kernels' timings, for the next build; None if the library keeps none.
    """

    data: bytes
    layers: list[Layer]
    timings: bytes | None


def compile_plan(
    runtime: str,
    graph: bytes,
    options: Options,
    progress: Progress,
    *,
    where: str = "ONNX file",
    timings: bytes | None = None,
) -> Plan:
    """Compile the ONNX file ``graph`` with ``runtime``, a key of ``RUNTIMES``.

    Args:
        runtime: ``tensorrt`` or ``tensorrt-rtx``.
        graph: bytes of an artefact of ours: one input ``views``, uint8 (batch, S, S, 3).
        options: batches, architectures and the rest; see ``Options``.
        progress: told of the builder's phases.
        where: names the graph in error messages.
        timings: what an earlier build gave.

    Raises:
        BackendError: the library is missing, does not start, or failed on the graph.
        ConfigError: something that this library cannot do.
        ArtefactError: the library's parser refuses the graph.
        KeyboardInterrupt: Ctrl-C, or a signal that does the same, came before the plan was whole.
    """
    api, phases = _library(runtime), Phases(progress)
    with interruptible(phases):
        return _plan(api, runtime, graph, options, phases, where, timings)


def _plan(
    api: ModuleType,
    runtime: str,
    graph: bytes,
    options: Options,
    phases: Phases,
    where: str,
    timings: bytes | None,
) -> Plan:
    log = _Log()
    builder = _builder(api, log, runtime)
    network = builder.create_network(_strongly_typed(api))
    parser = api.OnnxParser(network, log.logger(api))
    ours = graph_of_plan(graph, runtime, options, where)
    if not parser.parse(ours):
        raise ArtefactError(f"{where}: {runtime} does not take this graph: {log.first_error()}")
    config = builder.create_builder_config()
    config.profiling_verbosity = api.ProfilingVerbosity.DETAILED
    config.progress_monitor = reporter = monitor(api, phases)
    config.add_optimization_profile(_profile(builder, network, options))
    _configure(api, builder, config, options, runtime)
    cache = None
    if runtime == "tensorrt":  # the other compiles ahead of time and times nothing
        cache = config.create_timing_cache(timings or b"")
        config.set_timing_cache(cache, ignore_mismatch=False)
    data = builder.build_serialized_network(network, config)
    del reporter  # it had to live until here
    if data is None:
        raise BackendError(f"{where}: {runtime} could not build a plan: {log.first_error()}")
    kept = bytes(cache.serialize()) if cache is not None else None
    made = bytes(data)
    if options.strip_weights:
        made = join(made, constants_beside(graph, ours))
    return Plan(made, read_layers(log.layers), kept)


def graph_of_plan(graph: bytes, runtime: str, options: Options, where: str = "ONNX file") -> bytes:
    """The ONNX file ``graph`` as the builder gets it: what the weights of the plan are called by.

    Raises:
        BackendError: the graph asks for a plugin that cannot be had here.
        ArtefactError: its layers are not as ``graph`` writes them.
    """
    ours = for_tensorrt(for_plugin(graph, runtime), where)
    if runtime == "tensorrt-rtx" and _TURING in options.compute_capabilities:
        ours = without_float32_products(ours, where)
    return ours


def profile_of(options: Options) -> tuple[int, int, int]:
    """Least, best and largest batch of a plan; an accelerator's plan takes one batch alone."""
    if options.dla is not None:
        return (options.opt_batch, options.opt_batch, options.opt_batch)
    return (1, options.opt_batch, options.max_batch)


def capabilities_of(options: Options, precision: str) -> tuple[int, ...]:
    """The architectures that a TensorRT for RTX plan is for: those asked for, else the GPU's, else all.

    A float32 plan is for Turing alone or for others: there it takes another graph, see ``turing_graph``.

    Raises:
        ConfigError: one that the library does not build for, with those that it does.
    """
    here = device()
    apart = precision == "fp32"
    able = tuple(item for item in RTX_CAPABILITIES if not (apart and item == _TURING))
    wanted = tuple(sorted(set(options.compute_capabilities or ((here.capability,) if here else able))))
    for capability in wanted:
        if capability not in RTX_CAPABILITIES:
            known = ", ".join(map(str, RTX_CAPABILITIES))
            raise ConfigError(f"TensorRT for RTX does not build for {capability}; choose from {known}")
    if apart and _TURING in wanted and len(wanted) > 1:
        raise ConfigError(
            "in float32 Turing (75) takes another graph than others; build for it alone, in a second command"
        )
    return wanted


def _library(runtime: str) -> ModuleType:
    try:
        return import_module(RUNTIMES[runtime][0])
    except ImportError as error:
        raise BackendError(absence(runtime)) from error
    except OSError as error:  # a shared library is missing or of another platform
        raise BackendError(f"{runtime} does not start ({error}); install it anew") from error


class _Log:
    """The library's messages: errors, and the description of the layers, are kept."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.layers: list[str] = []
        self._logger: Any = None

    def logger(self, api: ModuleType) -> Any:
        """One ``ILogger`` for builder and parser, whose base class is known only now."""
        if self._logger is None:

            class Logger(api.ILogger):  # type: ignore[name-defined, misc]
                def __init__(logger) -> None:  # noqa: N805 - `self` is the log
                    api.ILogger.__init__(logger)

                def log(logger, severity: Any, message: str) -> None:  # noqa: N805
                    self.take(int(severity), message)

            self._logger = Logger()
        return self._logger

    def take(self, severity: int, message: str) -> None:
        """Severity 0 is an internal error, 1 an error; the layers come as the most verbose."""
        if severity <= 1:
            self.errors.append(message)
        elif "LayerType: " in message:
            self.layers.append(message)

    def first_error(self) -> str:
        return " ".join(self.errors[0].split())[:300] if self.errors else "it did not say why"


def _builder(api: ModuleType, log: _Log, runtime: str) -> Any:
    try:
        return api.Builder(log.logger(api))
    except (RuntimeError, TypeError) as error:  # TypeError: no object came back
        why = log.first_error() if log.errors else str(error)
        raise BackendError(f"{runtime} does not start here: {why}") from error


def _strongly_typed(api: ModuleType) -> int:
    """The creation flags of a strongly typed network; from TensorRT 11 on there is no other kind."""
    flag = getattr(api.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _profile(builder: Any, network: Any, options: Options) -> Any:
    views = network.get_input(0)
    fixed = tuple(views.shape)[1:]
    least, best, largest = profile_of(options)
    profile = builder.create_optimization_profile()
    profile.set_shape(views.name, (least, *fixed), (best, *fixed), (largest, *fixed))
    return profile


def _configure(api: ModuleType, builder: Any, config: Any, options: Options, runtime: str) -> None:
    flags = api.BuilderFlag
    if hasattr(flags, "REQUIRE_USER_ALLOCATION"):
        # TensorRT for RTX: else a plan may allocate while it runs, which no captured CUDA graph can do.
        config.set_flag(flags.REQUIRE_USER_ALLOCATION)
    if options.workspace is not None:
        config.set_memory_pool_limit(api.MemoryPoolType.WORKSPACE, options.workspace << 20)
    if options.hardware_compatible:
        config.hardware_compatibility_level = api.HardwareCompatibilityLevel.AMPERE_PLUS
    if options.version_compatible:
        config.set_flag(flags.VERSION_COMPATIBLE)
        config.set_flag(flags.EXCLUDE_LEAN_RUNTIME)  # a plan that brings its own code is not loaded here
    if options.strip_weights:
        if device() is None:
            raise BackendError("weights can only be stripped where there is a GPU; leave --strip-weights out")
        config.set_flag(flags.STRIP_PLAN)
        config.set_flag(flags.REFIT_IDENTICAL)
    if options.dla is not None:
        if options.dla >= builder.num_DLA_cores:
            raise ConfigError(
                f"--dla {options.dla}: {runtime} sees {builder.num_DLA_cores} accelerators here; "
                "leave it out to build for the GPU"
            )
        config.default_device_type = api.DeviceType.DLA
        config.DLA_core = options.dla
        config.set_flag(flags.GPU_FALLBACK)
    if options.compute_capabilities:
        config.num_compute_capabilities = len(options.compute_capabilities)
        for index, capability in enumerate(options.compute_capabilities):
            config.set_compute_capability(getattr(api.ComputeCapability, f"SM{capability}"), index)

"""What a model can be exported to: one table, and the options that a target's builder is given.

Precision is a property of the ONNX graph, made and accepted once; a target only compiles that graph. A
builder named here is a function

    build(source: Artefact, out: Path, options: Options, progress: Progress) -> Path

where ``source`` is an accepted ONNX artefact of the precision wanted, and ``out`` the file or folder to
make, which does not exist yet. It gives the path it made, from which the export can be opened again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Protocol

from crossiqa_edge.errors import BackendError, ConfigError
from crossiqa_edge.runtime import devices

PRECISIONS = ("fp32", "fp16", "int8")

# Beyond what any machine has, and within what the builders' C++ interfaces can be told.
MOST_BATCH = 1 << 16
MOST_WORKSPACE = 1 << 24  # MiB


class Progress(Protocol):
    """Told what is being done, and which share of it is done (0..1; None where nobody knows)."""

    def __call__(self, stage: str, share: float | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class Options:
    """What a builder may be told. A target heeds those that its row names; others are refused.

    Attributes:
        workspace: most memory of the builder in MiB, None for its own limit.
        dla: number of the deep-learning accelerator to use, None for the GPU.
        compute_capabilities: GPU architectures to build for, such as 86; empty for the GPU at hand.
        hardware_compatible: one plan for all GPUs from Ampere on, where the builder can.
        version_compatible: a plan that later minor versions of the runtime can load.
        strip_weights: a plan without weights, which are put back from the ONNX file when it is loaded.
        opt_batch, max_batch: the batch to be fastest at, and the largest to be accepted; the least is 1.
    """

    workspace: int | None = None
    dla: int | None = None
    compute_capabilities: tuple[int, ...] = ()
    hardware_compatible: bool = False
    version_compatible: bool = False
    strip_weights: bool = False
    opt_batch: int = 8
    max_batch: int = 32

    def __post_init__(self) -> None:
        if self.opt_batch < 1:
            raise ConfigError(f"--opt-batch {self.opt_batch}: a batch has at least one view")
        if self.opt_batch > self.max_batch:
            raise ConfigError(
                f"--max-batch {self.max_batch} is below --opt-batch, the fastest, which is {self.opt_batch}: "
                "lower that too, or raise this"
            )
        if self.max_batch > MOST_BATCH:
            raise ConfigError(f"a batch of {self.max_batch}; give at most {MOST_BATCH}")
        if self.workspace is not None and not 1 <= self.workspace <= MOST_WORKSPACE:
            raise ConfigError(f"a workspace of {self.workspace} MiB; give 1 to {MOST_WORKSPACE}")
        if self.dla is not None and self.dla < 0:
            raise ConfigError(f"--dla {self.dla}: accelerators are numbered from 0")

    def given(self) -> tuple[str, ...]:
        """Names of the options that differ from their defaults."""
        return tuple(item.name for item in fields(self) if getattr(self, item.name) != item.default)


_SCORE = ("crossiqa score --model {out} PHOTO", "crossiqa verify {out}")


@dataclass(frozen=True, slots=True)
class Target:
    """One row of the table.

    Attributes:
        name: what ``--to`` takes.
        title: what it makes, in a few words.
        suffix: of the file it makes; empty for a folder.
        builder: ``module:function``; empty for ``onnx``, which is the graph itself.
        backend: name in ``crossiqa_edge.runtime.select.BACKENDS`` that runs what it made.
        refused: precisions that make no sense here, with the reason.
        keeps_graph: whether the ONNX file is of use beside what was made, to rebuild or refit it.
        single: precision whose limits a float32 graph is held to; TensorRT may round its factors to ten bits.
        next: commands that use what was made; ``{out}`` is its path, ``{graph}`` that of the ONNX file.
        heeds: names of ``Options`` that it heeds.
    """

    name: str
    title: str
    suffix: str
    backend: str
    builder: str = ""
    refused: Mapping[str, str] = field(default_factory=dict)
    heeds: frozenset[str] = frozenset()
    keeps_graph: bool = False
    single: str = "fp32"
    next: tuple[str, ...] = _SCORE

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions that make sense, in the order of ``PRECISIONS``."""
        return tuple(name for name in PRECISIONS if name not in self.refused)


_BATCHES = frozenset({"opt_batch", "max_batch"})
_TENSORRT = _BATCHES | {"workspace", "hardware_compatible", "version_compatible", "strip_weights"}

_ENGINE = (
    "crossiqa score --model {graph} --backend tensorrt PHOTO",
    "crossiqa verify {graph} --backend tensorrt",
)
_ENGINE_RTX = tuple(command.replace("tensorrt", "tensorrt-rtx") for command in _ENGINE)

TARGETS = {
    target.name: target
    for target in (
        Target("onnx", "an ONNX graph for any runtime", suffix=".onnx", backend="onnxruntime"),
        Target(
            "openvino",
            "OpenVINO's representation, for CPUs",
            suffix=".openvino.zip",
            builder="crossiqa_edge.export.openvino:build",
            backend="openvino",
            refused={"fp16": "OpenVINO picks the arithmetic of a float graph by the device it runs on"},
        ),
        Target(
            "tensorrt",
            "a TensorRT plan for the GPU at hand",
            suffix=".engine",
            builder="crossiqa_edge.export.tensorrt:build",
            backend="tensorrt",
            keeps_graph=True,
            single="fp16",
            next=_ENGINE,
            heeds=_TENSORRT | {"dla"},
        ),
        Target(
            "tensorrt-rtx",
            "a TensorRT for RTX plan, built with or without a GPU",
            suffix=".engine",
            builder="crossiqa_edge.export.tensorrt:build_rtx",
            backend="tensorrt-rtx",
            keeps_graph=True,
            single="fp16",
            next=_ENGINE_RTX,
            heeds=(_TENSORRT - {"hardware_compatible"}) | {"compute_capabilities"},
        ),
        Target(
            "triton-server",
            "a model repository for the Triton inference server",
            suffix="",
            builder="crossiqa_edge.export.triton_server:build",
            backend="onnxruntime",
            heeds=_BATCHES,
            next=("tritonserver --model-repository={out}", "crossiqa verify {graph}"),
        ),
    )
}


def target(name: str) -> Target:
    """The row called ``name``; ConfigError with the nearest name where there is none."""
    if name in TARGETS:
        return TARGETS[name]
    near = get_close_matches(name, TARGETS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(TARGETS)}"
    raise ConfigError(f"unknown target {name!r}; {hint}")


def check(target: Target, precision: str, options: Options) -> None:
    """Refuse what makes no sense, or cannot be done on this machine, before any work.

    Raises:
        ConfigError: with the nearest combination that does make sense.
        BackendError: the target's builder, or the GPU that it needs, is not here.
    """
    if precision not in PRECISIONS:
        near = get_close_matches(precision, PRECISIONS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(PRECISIONS)}"
        raise ConfigError(f"unknown precision {precision!r}; {hint}")
    if precision in target.refused:
        instead = target.precisions[0]
        raise ConfigError(
            f"--to {target.name} --precision {precision}: {target.refused[precision]}; "
            f"use --precision {instead}"
        )
    for name in options.given():
        if name not in target.heeds:
            takers = ", ".join(other.name for other in TARGETS.values() if name in other.heeds)
            raise ConfigError(f"--to {target.name} has no use for --{name.replace('_', '-')}; {takers} has")
    if options.dla is not None and precision == "fp32":
        raise ConfigError("--dla: the accelerator computes in fp16 and int8 only; use --precision fp16")
    if target.name in devices.RUNTIMES:
        _check_machine(target, precision, options)


def _check_machine(target: Target, precision: str, options: Options) -> None:
    """What the builders of engines would say after minutes of work on the graph."""
    from crossiqa_edge.export.trt_builder import capabilities_of  # which stands on this module

    devices.installed_version(target.name)
    if target.name == "tensorrt-rtx":
        capabilities_of(options, precision)
        if options.strip_weights and devices.device() is None:
            raise ConfigError(
                "--strip-weights: TensorRT for RTX strips them only where there is a GPU, and there is none; "
                "leave it out"
            )
    elif devices.device() is None:
        raise BackendError(
            "TensorRT builds for the GPU at hand, and there is none; --to tensorrt-rtx builds without one, "
            "`crossiqa bundle` prepares the build for another machine"
        )

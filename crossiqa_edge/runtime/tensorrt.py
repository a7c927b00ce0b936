"""Engines executed by TensorRT, and the same for TensorRT for RTX.

Runs an engine file, or an ONNX artefact of which ``crossiqa export --to tensorrt`` has left an engine in
this machine's cache. Nothing is built here: that takes minutes, and should be asked for.

This file and ``crossiqa_edge.runtime.cuda`` have not been run on a GPU yet; what does not need one is tested.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np

from crossiqa_edge.errors import ArtefactError, BackendError
from crossiqa_edge.imaging.sampling import Views
from crossiqa_edge.runtime import devices, engine_cache
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.backend import Scores, check_views, checked_scores
from crossiqa_edge.runtime.cuda import CudaRuntime
from crossiqa_edge.runtime.engine_file import EngineHeader, read_engine, unpack
from crossiqa_edge.runtime.packed_plan import expand
from crossiqa_edge.runtime.plan_runner import PlanRunner, device_views
from crossiqa_edge.runtime.stripped_plan import part, refit_model

NAME = "tensorrt"


def obstacle(artefact: Artefact, name: str = NAME) -> str | None:
    """Why the runtime ``name`` cannot run ``artefact`` here, or None if it can."""
    if artefact.kind not in ("onnx", "engine"):
        return f"{name} needs an engine or a graph, not {artefact.kind}"
    if devices.runtime_version(name) is None:
        return devices.absence(name)
    if find_spec("cuda") is None or find_spec("cuda.bindings") is None:
        return "cuda-bindings is not installed: pip install cuda-bindings"
    if devices.device() is None:
        return f"{name} needs an NVIDIA GPU with its driver, and CUDA sees none"
    try:
        header, _ = _engine(artefact, name)
    except (ArtefactError, BackendError) as error:
        return str(error)
    return engine_cache.obstacle(header.key)


def open_backend(
    artefact: Artefact,
    *,
    threads: int | None = None,
    reason: str = "asked for",
    name: str = NAME,
    graph: Artefact | None = None,
) -> TensorRTBackend:
    """Load the engine of ``artefact`` with the runtime ``name``; ``threads`` plays no part on a GPU.

    ``graph`` is the ONNX artefact that an engine file was built from, of which only a plan without weights
    has need; where ``artefact`` is the graph itself, it serves.

    Raises:
        ArtefactError: the engine is damaged, or is not what its header says.
        BackendError: there is no engine for this machine, or the runtime failed.
    """
    header, packed = _engine(artefact, name)
    where, weights = str(artefact.path), None
    plan = expand(packed, header.plan_size, where)
    if header.stripped:
        source = _graph_of(header, artefact if graph is None else graph, where).read()
        plan, constants = part(plan, where)
        weights = refit_model(source, constants)
    engine = PlanEngine(import_module(devices.RUNTIMES[name][0]), plan, where, weights=weights)
    engine.check_bindings(header.card.view_size)
    runner = PlanRunner(CudaRuntime(), engine, header.key.profile, header.card.view_size)
    return TensorRTBackend(name, artefact, header, runner, reason)


class TensorRTBackend:
    """An engine on the GPU; see ``crossiqa_edge.runtime.backend.Backend``.

    ``infer`` also takes views that are on the GPU already: any object with ``__cuda_array_interface__``,
    such as a tensor of PyTorch or CuPy.
    """

    def __init__(
        self, name: str, artefact: Artefact, header: EngineHeader, runner: PlanRunner, reason: str
    ) -> None:
        self.name = name
        self.device = header.key.device or "gpu"
        self.precision = header.key.precision
        self.reason = reason
        self._size = header.card.view_size
        self._where = str(artefact.path)
        self._runner = runner

    @property
    def describe(self) -> str:
        return f"{self.name} {self.device} {self.precision}"

    def infer(self, views: Views) -> Scores:
        on_device = device_views(views, self._size)
        if on_device is not None:
            return checked_scores(self._runner.run(on_device), on_device.count, self._where)
        check_views(views, self._size)
        return checked_scores(self._runner.run(views), len(views), self._where)

    def upload(self, views: Views) -> None:
        check_views(views, self._size)
        self._runner.upload(views)

    def close(self) -> None:
        self._runner.close()


class PlanEngine:
    """A deserialised plan, over the library ``api``; see ``crossiqa_edge.runtime.plan_runner.Engine``.

    Args:
        api: the module of the library.
        plan: its bytes.
        where: names it in error messages.
        weights: of a plan without them, an ONNX model that has them all among its constants.

    Raises:
        BackendError: the library refuses the plan, or the weights do not fit it.
    """

    def __init__(self, api: ModuleType, plan: bytes, where: str, *, weights: bytes | None = None) -> None:
        self._api = api
        self._where = where
        self._logger = api.Logger(api.Logger.ERROR)
        self._runtime = api.Runtime(self._logger)  # engine_host_code_allowed stays False
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise BackendError(f"{where}: {api.__name__} does not load this plan; build it again")
        if weights is not None:
            self._put_back(weights)
        self._settings = self._context_settings()

    @property
    def memory(self) -> int:
        return int(self._engine.device_memory_size_v2)

    def context(self, memory: int) -> PlanContext:
        """A new execution context in the device memory at ``memory``.

        Raises:
            BackendError: the library makes none.
        """
        context = self._engine.create_execution_context(self._settings)
        if context is None:
            raise BackendError(
                f"{self._where}: no room on the GPU to execute this engine; free memory or lower max-batch"
            )
        context.set_device_memory(memory, self.memory)
        return PlanContext(context, tuple(self._engine.get_tensor_shape("views"))[1:], self._where)

    def check_bindings(self, size: int) -> None:
        """ArtefactError unless the plan takes ``views`` and gives ``score``, as every model of ours does."""
        engine, mode = self._engine, self._api.TensorIOMode
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        found = {
            name: (
                engine.get_tensor_mode(name) == mode.INPUT,
                np.dtype(self._api.nptype(engine.get_tensor_dtype(name))),
                tuple(engine.get_tensor_shape(name))[1:],
            )
            for name in names
        }
        expected = {
            "views": (True, np.dtype(np.uint8), (size, size, 3)),
            "score": (False, np.dtype(np.float32), ()),
        }
        if found != expected:
            raise ArtefactError(
                f"{self._where}: the plan should take views and give score, it has {', '.join(names)}; "
                "build it again with `crossiqa export`"
            )

    def _context_settings(self) -> Any:
        """What contexts are made with: memory from us, and nothing that a captured graph would miss.

        TensorRT for RTX compiles kernels for the shapes that it meets, by default in the background: a graph
        that is captured meanwhile would keep the slow ones. So they are compiled before the first run ends.
        """
        ours = self._api.ExecutionContextAllocationStrategy.USER_MANAGED
        kernels = getattr(self._api, "DynamicShapesKernelSpecializationStrategy", None)
        if kernels is None:
            return ours
        settings = self._engine.create_runtime_config()
        settings.set_execution_context_allocation_strategy(ours)
        settings.dynamic_shapes_kernel_specialization_strategy = kernels.EAGER
        return settings

    def _put_back(self, weights: bytes) -> None:
        refitter = self._api.Refitter(self._engine, self._logger)
        parser = self._api.OnnxParserRefitter(refitter, self._logger)
        if not (parser.refit_from_bytes(weights) and refitter.refit_cuda_engine()):
            raise BackendError(f"{self._where}: the weights do not fit the plan; build it again")


class PlanContext:
    """One execution context; see ``crossiqa_edge.runtime.plan_runner.Context``.

    Args:
        context: the library's.
        view: the shape of a view.
        where: names the plan in error messages.
    """

    def __init__(self, context: Any, view: tuple[int, ...], where: str) -> None:
        self._context = context
        self._view = view
        self._where = where

    def enqueue(self, batch: int, views: int, scores: int, stream: int) -> None:
        done = (
            self._context.set_input_shape("views", (batch, *self._view))
            and self._context.set_tensor_address("views", views)
            and self._context.set_tensor_address("score", scores)
            and self._context.execute_async_v3(stream)
        )
        if not done:
            raise BackendError(f"{self._where}: the engine did not run on {batch} views; build it again")

    def capturable(self, stream: int) -> bool:
        """What the library says; one that cannot be asked captures all that our graphs have in them."""
        asked = getattr(self._context, "is_stream_capturable", None)
        return asked is None or bool(asked(stream))


def _graph_of(header: EngineHeader, given: Artefact, where: str) -> Artefact:
    """``given``, if it is the graph that the plan was built from: other weights would give other scores."""
    if given.sha256 != header.key.onnx_sha256:
        raise BackendError(
            f"{where}: a plan without weights; open the ONNX file that it was built from instead"
        )
    return given


def _engine(artefact: Artefact, name: str) -> tuple[EngineHeader, bytes]:
    """Header and packed plan of an engine artefact, or of the cache's engine that was built from a graph."""
    if artefact.kind == "engine":
        header, packed = unpack(artefact.read(), str(artefact.path))
        if header.key.runtime != name:
            raise BackendError(f"an engine of {header.key.runtime}, not of {name}")
        return header, packed
    entry, why = engine_cache.find(artefact.sha256, name)
    if entry is None:
        raise BackendError(f"{why}; run: crossiqa export {artefact.path} --to {name}")
    return read_engine(entry.path)

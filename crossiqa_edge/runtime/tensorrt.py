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
from crossiqa_edge.runtime.plan_runner import PlanRunner, device_views

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
    artefact: Artefact, *, threads: int | None = None, reason: str = "asked for", name: str = NAME
) -> TensorRTBackend:
    """Load the engine of ``artefact`` with the runtime ``name``; ``threads`` plays no part on a GPU.

    Raises:
        ArtefactError: the engine is damaged, or is not what its header says.
        BackendError: there is no engine for this machine, or the runtime failed.
    """
    header, plan = _engine(artefact, name)
    api = import_module(devices.RUNTIMES[name][0])
    graph = artefact.read() if header.stripped and artefact.kind == "onnx" else None
    context = PlanContext(api, plan, str(artefact.path), graph=graph, stripped=header.stripped)
    context.check_bindings(header.card.view_size)
    runner = PlanRunner(CudaRuntime(), context, header.key.profile, header.card.view_size)
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


class PlanContext:
    """A deserialised plan and its execution context, over the library ``api``.

    Raises:
        BackendError: the library refuses the plan, or its weights cannot be put back.
    """

    def __init__(
        self, api: ModuleType, plan: bytes, where: str, *, graph: bytes | None, stripped: bool
    ) -> None:
        self._api = api
        self._where = where
        self._logger = api.Logger(api.Logger.ERROR)
        self._runtime = api.Runtime(self._logger)  # engine_host_code_allowed stays False
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise BackendError(f"{where}: {api.__name__} does not load this plan; build it again")
        if stripped:
            self._put_weights_back(graph)
        self._context: Any = self._engine.create_execution_context()
        if self._context is None:
            raise BackendError(f"{where}: no room on the GPU for this engine; free memory or lower max-batch")

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

    def enqueue(self, batch: int, views: int, scores: int, stream: int) -> None:
        shape = (batch, *tuple(self._engine.get_tensor_shape("views"))[1:])
        done = (
            self._context.set_input_shape("views", shape)
            and self._context.set_tensor_address("views", views)
            and self._context.set_tensor_address("score", scores)
            and self._context.execute_async_v3(stream)
        )
        if not done:
            raise BackendError(f"{self._where}: the engine did not run on {batch} views; build it again")

    def _put_weights_back(self, graph: bytes | None) -> None:
        if graph is None:
            raise BackendError(
                f"{self._where}: a plan without weights; open the ONNX file that it was built from instead"
            )
        refitter = self._api.Refitter(self._engine, self._logger)
        parser = self._api.OnnxParserRefitter(refitter, self._logger)
        if not (parser.refit_from_bytes(graph) and refitter.refit_cuda_engine()):
            raise BackendError(f"{self._where}: the weights do not fit the plan; build it again")


def _engine(artefact: Artefact, name: str) -> tuple[EngineHeader, bytes]:
    """Header and plan of an engine artefact, or of the engine in the cache that was built from a graph."""
    if artefact.kind == "engine":
        header, plan = unpack(artefact.read(), str(artefact.path))
        if header.key.runtime != name:
            raise BackendError(f"an engine of {header.key.runtime}, not of {name}")
        return header, plan
    entry, why = engine_cache.find(artefact.sha256, name)
    if entry is None:
        raise BackendError(f"{why}; run: crossiqa export {artefact.path} --to {name}")
    return read_engine(entry.path)

"""onnxruntime: the backend that every installation has, on the CPU or through one of its GPU providers.

Settings that differ from onnxruntime's own, and why:

- Threads that wait for work sleep. By default they spin, which takes the cores away from the threads that
  decode the next pictures.
- TF32 off on CUDA: a float32 graph is computed in float32.
- No fallback: onnxruntime would answer a provider's failure, at run time too, by going on with another.

Not among them is ``session.x64quantprecision``, which keeps int8 products from overflowing on CPUs without
VNNI by a slower way: the weights of our int8 graphs are scaled so that they cannot (see
``crossiqa_edge.export.quantise.weight_scales``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING

from crossiqa_edge.errors import ArtefactError, BackendError
from crossiqa_edge.imaging.sampling import Views
from crossiqa_edge.machine import nvidia_gpu_seen
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.backend import Scores, check_views, checked_scores

if TYPE_CHECKING:
    import onnxruntime

_FATAL = 4  # onnxruntime's least talkative log level: what goes wrong is raised, not printed
_REMEDY = "install the CUDA, cuDNN and TensorRT that it was built for, or take --backend onnxruntime"
# What a GPU provider rightly leaves to the CPU: the arithmetic of shapes, a few integers before the batch.
_OF_SHAPES = frozenset({"Shape", "Concat", "Gather", "Slice", "Squeeze", "Unsqueeze"})


@dataclass(frozen=True, slots=True)
class Provider:
    """One of onnxruntime's execution providers, as a backend of ours.

    Attributes:
        name: of the backend.
        title: onnxruntime's name of it.
        device: what it computes on, ``cpu`` or ``cuda``.
        options: onnxruntime's settings of it.
    """

    name: str
    title: str
    device: str
    options: dict[str, str] = field(default_factory=dict)


CPU = Provider("onnxruntime", "CPUExecutionProvider", "cpu")
CUDA = Provider("onnxruntime-cuda", "CUDAExecutionProvider", "cuda", {"use_tf32": "0"})
TENSORRT = Provider("onnxruntime-tensorrt", "TensorrtExecutionProvider", "cuda")


def obstacle(artefact: Artefact, provider: Provider = CPU) -> str | None:
    """Why this backend cannot run ``artefact`` here, or None if it can."""
    if artefact.kind != "onnx":
        return f"onnxruntime needs a graph, not {artefact.kind}"
    if provider.device != "cpu" and not nvidia_gpu_seen():
        return f"{provider.name} needs an NVIDIA GPU with its driver, and none is seen"
    if find_spec("onnxruntime") is None:
        return "onnxruntime is not installed: pip install onnxruntime"
    if provider.device != "cpu" and provider.title not in _available():
        remedy = "pip uninstall onnxruntime, then pip install onnxruntime-gpu"
        return f"this onnxruntime lacks {provider.title}: {remedy}"
    return None


def open_backend(
    artefact: Artefact, *, threads: int | None = None, reason: str = "asked for", provider: Provider = CPU
) -> OrtBackend:
    """Load an ONNX artefact; ``threads`` is how many one inference may use (default: all cores).

    Raises:
        ArtefactError: onnxruntime does not accept the graph.
        BackendError: onnxruntime cannot work on this machine, or ``provider`` would be passed over.
    """
    # From bytes, not from the path: what was checked is what is run, and nothing beside it is read.
    return OrtBackend(artefact, artefact.read(), threads=threads, reason=reason, provider=provider)


class OrtBackend:
    """A session over ``data``, the bytes of ``artefact``; see ``crossiqa_edge.runtime.backend.Backend``."""

    def __init__(
        self, artefact: Artefact, data: bytes, *, threads: int | None, reason: str, provider: Provider = CPU
    ) -> None:
        self.name, self.device = provider.name, provider.device
        self.precision = artefact.card.precision
        self.reason = reason
        self._session: onnxruntime.InferenceSession | None = _session(
            data, str(artefact.path), threads, provider
        )
        self._size = artefact.card.view_size
        self._where = str(artefact.path)

    @property
    def describe(self) -> str:
        return f"{self.name} {self.device} {self.precision}"

    def infer(self, views: Views) -> Scores:
        check_views(views, self._size)
        session = self._session
        if session is None:
            raise BackendError(f"{self._where}: the model was closed; load it again")
        try:
            (scores,) = session.run(["score"], {"views": views})
        except Exception as error:  # onnxruntime's own exceptions have no base class but this
            raise BackendError(f"{self._where}: onnxruntime failed: {_one_line(error)}") from error
        return checked_scores(scores, len(views), self._where)

    def upload(self, views: Views) -> None:
        check_views(views, self._size)
        from onnxruntime import OrtValue

        try:
            OrtValue.ortvalue_from_numpy(views, self.device, 0)
        except Exception as error:  # as in infer
            raise BackendError(f"{self._where}: onnxruntime failed: {_one_line(error)}") from error

    def close(self) -> None:
        self._session = None


def _session(
    data: bytes, where: str, threads: int | None, provider: Provider
) -> onnxruntime.InferenceSession:
    try:
        import onnxruntime
    except ImportError as error:
        raise_interrupt(error)
        raise BackendError(f"onnxruntime does not start ({_one_line(error)}); install it anew") from error
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _FATAL
    # The bytes were checked as ONNX: they must not be taken for onnxruntime's own format.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if provider.device != "cpu":
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if threads is not None:
        options.intra_op_num_threads = threads
    wanted = [(provider.title, provider.options)]
    # A GPU provider leaves the arithmetic of shapes to the CPU, which must therefore stand behind it. So
    # `session.disable_cpu_ep_fallback`, which refuses every node on the CPU, would refuse our graphs.
    providers = wanted if provider.device == "cpu" else [*wanted, (CPU.title, CPU.options)]
    try:
        session = onnxruntime.InferenceSession(data, options, providers=providers, enable_fallback=0)
    except Exception as error:  # onnxruntime's own exceptions have no base class but this
        if provider.device != "cpu" and isinstance(error, RuntimeError | ValueError):
            raise BackendError(f"{provider.title} does not start ({_one_line(error)}); {_REMEDY}") from error
        raise ArtefactError(f"{where}: onnxruntime does not accept this graph: {_one_line(error)}") from error
    session.disable_fallback()  # before 1.23 the argument is passed over
    _check_taken(session.get_providers(), provider)
    if provider.device != "cpu":
        _check_placed(_left_to_cpu(session), provider)
    return session


def _check_taken(taken: list[str], provider: Provider) -> None:
    """onnxruntime goes on without a provider whose libraries do not load; here that is an error."""
    if taken[:1] == [provider.title]:
        return
    remedy = "install it anew" if provider.device == "cpu" else _REMEDY
    raise BackendError(
        f"onnxruntime runs on {', '.join(taken) or 'nothing'} instead of {provider.title}; {remedy}"
    )


def _check_placed(left: list[str], provider: Provider) -> None:
    """Raise BackendError if the CPU has more ``left`` to it, kinds of nodes, than shapes."""
    passed_over = [kind for kind in left if kind not in _OF_SHAPES]
    if not passed_over:
        return
    kinds = ", ".join(sorted(set(passed_over)))
    raise BackendError(
        f"{provider.title} leaves {len(passed_over)} nodes of this graph to the CPU ({kinds[:200]}); "
        "take --backend onnxruntime, or install a newer onnxruntime-gpu"
    )


def _left_to_cpu(session: onnxruntime.InferenceSession) -> list[str]:
    """The kind of every node that the CPU computes; none before onnxruntime 1.24, which does not tell."""
    told = getattr(session, "get_provider_graph_assignment_info", None)
    parts = [] if told is None else told()
    return [node.op_type for part in parts if part.ep_name == CPU.title for node in part.get_nodes()]


def _available() -> list[str]:
    try:
        import onnxruntime

        return list(onnxruntime.get_available_providers())
    except ImportError as error:
        raise_interrupt(error)
        return []


def raise_interrupt(error: BaseException) -> None:
    """Do nothing, unless ``error`` came of Ctrl-C: a compiled module makes an ImportError of that.

    Raises:
        KeyboardInterrupt: it did.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        cause = cause.__cause__ or cause.__context__


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]

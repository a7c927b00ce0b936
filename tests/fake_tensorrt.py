"""The part of TensorRT's API that executes a plan, over ``FakeCuda``: the score of a view is its mean byte.

It holds its users to what NVIDIA asks of them and does not check: a context has memory before it runs, and a
graph is launched with its context as it was when the graph was captured (see ``MeanContext``).
"""

from types import SimpleNamespace

import numpy as np
from fake_cuda import MeanContext


class FakeTensorRT:
    """Args:
    cuda: a ``FakeCuda``.
    accepts: whether plans load.
    needs: names of the weights that a plan has none of.
    """

    __name__ = "tensorrt_rtx"
    TensorIOMode = SimpleNamespace(INPUT=0, OUTPUT=1)
    ExecutionContextAllocationStrategy = SimpleNamespace(STATIC="static", USER_MANAGED="ours")
    ports = {"views": (0, np.uint8, (-1, 224, 224, 3)), "score": (1, np.float32, (-1,))}  # noqa: RUF012
    memory = 4096
    runs = True
    makes_contexts = True

    def __init__(self, cuda=None, accepts=True, needs=()):
        self.cuda, self.accepts, self.needs = cuda, accepts, set(needs)
        self.plans, self.contexts, self.offered = [], [], []
        self.Logger = type("Logger", (), {"ERROR": 1, "__init__": lambda logger, severity: None})

    def Runtime(self, logger):  # noqa: N802
        return SimpleNamespace(deserialize_cuda_engine=self.deserialise)

    def deserialise(self, plan):
        self.plans.append(plan)
        if not self.accepts:
            return None
        names = list(self.ports)
        return SimpleNamespace(
            num_io_tensors=len(names),
            device_memory_size_v2=self.memory,
            get_tensor_name=lambda index: names[index],
            get_tensor_mode=lambda name: self.ports[name][0],
            get_tensor_dtype=lambda name: self.ports[name][1],
            get_tensor_shape=lambda name: self.ports[name][2],
            create_execution_context=self.context,
            create_runtime_config=RuntimeConfig,
        )

    def context(self, settings="static"):
        if not self.makes_contexts:
            return None
        self.contexts.append(FakeContext(self, settings))
        return self.contexts[-1]

    def nptype(self, kind):
        return kind

    def Refitter(self, engine, logger):  # noqa: N802
        return SimpleNamespace(refit_cuda_engine=lambda: not self.needs)

    def OnnxParserRefitter(self, refitter, logger):  # noqa: N802
        return SimpleNamespace(refit_from_bytes=self.refit)

    def refit(self, model):
        import onnx

        self.offered.append(model)
        names = {constant.name for constant in onnx.load_model_from_string(model).graph.initializer}
        fits = self.needs <= names
        self.needs -= names
        return fits


class FakeTensorRTForRTX(FakeTensorRT):
    """TensorRT for RTX: ``capturable`` is what its contexts say of themselves."""

    DynamicShapesKernelSpecializationStrategy = SimpleNamespace(LAZY="lazy", EAGER="eager")
    capturable = True

    def context(self, settings=None):
        made = super().context(settings)
        made.is_stream_capturable = lambda stream: self.capturable
        return made


class RuntimeConfig:
    """How contexts are to be made."""

    strategy = "static"
    dynamic_shapes_kernel_specialization_strategy = "lazy"

    def set_execution_context_allocation_strategy(self, strategy):
        self.strategy = strategy


class FakeContext:
    """An execution context, made with ``settings``: a strategy or a ``RuntimeConfig``."""

    def __init__(self, library, settings):
        self.library, self.settings = library, settings
        strategy = settings.strategy if isinstance(settings, RuntimeConfig) else settings
        self.memory = None if strategy == "ours" else "its own"
        self.addresses = {}
        self.mean = MeanContext(library.cuda, 224)

    def set_device_memory(self, memory, size):
        assert size >= self.library.memory
        self.memory = memory

    def set_input_shape(self, name, shape):
        self.shape = shape
        return True

    def set_tensor_address(self, name, address):
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream):
        if self.memory is None or not self.library.runs:
            return False
        self.mean.enqueue(self.shape[0], self.addresses["views"], self.addresses["score"], stream)
        return True

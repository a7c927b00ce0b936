"""The part of TensorRT's API that building takes, which writes down what it is told."""

from types import ModuleType, SimpleNamespace


class Config:
    """A builder's configuration, whose timing cache is the bytes it was made of."""

    def __init__(self, library):
        self.library, self.cache = library, None

    def add_optimization_profile(self, profile):
        pass

    def create_timing_cache(self, given):
        self.library.given.append(given)
        return SimpleNamespace(content=given, serialize=lambda: memoryview(self.cache.content))

    def set_flag(self, flag):
        self.library.flags.append(flag)

    def set_compute_capability(self, capability, index):
        self.library.capabilities.append((index, capability))

    def set_timing_cache(self, cache, ignore_mismatch):
        self.library.mismatches.append(ignore_mismatch)
        self.cache = cache


class Builder:
    """Times one kernel a build, and writes it into the cache that was set."""

    def __init__(self, library):
        self.library = library

    def create_network(self, flags):
        views = SimpleNamespace(name="views", shape=(-1, 224, 224, 3))
        return SimpleNamespace(get_input=lambda index: views)

    def create_builder_config(self):
        return Config(self.library)

    def create_optimization_profile(self):
        return SimpleNamespace(set_shape=lambda *shapes: None)

    def build_serialized_network(self, network, config):
        if config.cache is not None:
            config.cache.content += b"kernel;"
        return None if self.library.failing else b"plan"


def stand_in(name):
    """The part of the library's API that building takes."""
    library = ModuleType(name)
    library.given, library.mismatches, library.failing = [], [], False
    library.ILogger = library.IProgressMonitor = type("Base", (), {"__init__": lambda base: None})
    library.Builder = lambda logger: Builder(library)
    library.parsed, library.capabilities = [], []
    library.OnnxParser = lambda network, logger: SimpleNamespace(
        parse=lambda graph: library.parsed.append(graph) or True
    )
    library.ComputeCapability = SimpleNamespace(SM75="75", SM80="80", SM86="86")
    library.NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)
    library.ProfilingVerbosity = SimpleNamespace(DETAILED=2)
    library.BuilderFlag = SimpleNamespace(STRIP_PLAN="strip", REFIT_IDENTICAL="refit")
    library.flags = []
    return library

"""TensorRT for RTX compiles without a GPU: every shipped model, in every precision, proven by layer."""

from dataclasses import replace
from types import SimpleNamespace

import onnx
import pytest
from precisions import half_graph, int8_graph

from crossiqa_edge import weights
from crossiqa_edge.errors import ArtefactError, BackendError, ConfigError
from crossiqa_edge.export import tensorrt
from crossiqa_edge.export.targets import Options
from crossiqa_edge.export.trt_builder import RTX_CAPABILITIES, _configure, capabilities_of, compile_plan
from crossiqa_edge.runtime import devices, engine_cache
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.devices import Device
from crossiqa_edge.runtime.engine_file import read_engine
from crossiqa_edge.runtime.packed_plan import expand

pytest.importorskip("tensorrt_rtx", reason="needs the tensorrt-rtx extra")
pytestmark = pytest.mark.skipif(devices.device() is not None, reason="says what happens without a GPU")

TURING_TO_BLACKWELL = (75, 80, 86, 89, 120)
PRODUCTS = (
    "gemm",
    "runtime_fusion",
    "attention",
    "correlation",
)  # kinds of layers with a matrix product in them
GRAPHS = {"fp32": lambda artefact: artefact.read(), "fp16": half_graph, "int8": int8_graph}


def silent(stage, share=None):
    pass


@pytest.fixture(autouse=True)
def own_places(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def plans(monkeypatch):
    """What the builder gave, build by build."""
    made = []

    def recording(*arguments, **options):
        made.append(compile_plan(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(tensorrt, "compile_plan", recording)
    return made


# Lower precisions are made from the float32 file, as `crossiqa export` does it.
FLOAT_MODELS = [
    name for name in weights.available() if Artefact.open(weights.find(name)).card.precision == "fp32"
]


@pytest.mark.parametrize(
    ("precision", "capabilities"),
    [
        ("fp32", (75,)),
        ("fp32", TURING_TO_BLACKWELL[1:]),
        ("fp16", TURING_TO_BLACKWELL),
        ("int8", TURING_TO_BLACKWELL),
    ],
)
@pytest.mark.parametrize("name", FLOAT_MODELS)
def test_every_shipped_model_compiles_ahead_of_time_and_computes_in_its_precision(
    name, precision, capabilities, tmp_path, plans
):
    path = tmp_path / "model.onnx"
    path.write_bytes(GRAPHS[precision](Artefact.open(weights.find(name))))
    source = Artefact.open(path)
    out = tmp_path / "model.engine"
    tensorrt.build_rtx(source, out, Options(compute_capabilities=capabilities), silent)

    tmp_path.chmod(0o700)
    header, packed = read_engine(out)
    (built,) = plans
    assert expand(packed, header.plan_size, "x") == built.data
    card = replace(source.card, acceptance={})
    assert (header.key.capabilities, header.card, header.key.device) == (capabilities, card, "")
    _assert_arithmetic(built.layers, precision, quantised_layers(path))


def quantised_layers(path):
    """Names of the matrix products whose weights are dequantised int8."""
    graph = onnx.load(path).graph
    restored = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    return {node.name for node in graph.node if node.op_type == "Gemm" and node.input[1] in restored}


def _assert_arithmetic(layers, precision, quantised):
    products = [layer for layer in layers if layer.kind in PRODUCTS]
    arithmetic = {layer.arithmetic for layer in products}
    assert arithmetic == {"fp32": {"Float"}, "fp16": {"Half"}, "int8": {"Half", "Int8"}}[precision]
    in_int8 = {node for layer in products if layer.arithmetic == "Int8" for node in layer.nodes}
    assert quantised <= in_int8
    assert bool(quantised) == (precision == "int8")


def test_an_engine_is_built_once_and_copied_from_the_cache(tiny_onnx, tmp_path, plans):
    source, options = Artefact.open(tiny_onnx), Options(compute_capabilities=(86,), max_batch=16)
    first = tensorrt.build_rtx(source, tmp_path / "first.engine", options, silent)
    second = tensorrt.build_rtx(source, tmp_path / "second.engine", options, silent)
    assert len(plans) == 1
    assert first.read_bytes() == second.read_bytes()
    (entry,) = engine_cache.entries()
    assert entry.header.key.profile == (1, 8, 16)
    assert entry.header.key.onnx_sha256 == source.sha256
    assert entry.obstacle == "built for sm_86; this machine has no GPU: cannot run here"


def test_other_options_give_another_engine(tiny_onnx):
    source = Artefact.open(tiny_onnx)
    keys = {
        tensorrt.engine_key("tensorrt-rtx", source, options, (86,)).digest
        for options in (
            Options(),
            Options(workspace=64),
            Options(max_batch=64),
            Options(version_compatible=True),
        )
    }
    assert len(keys) == 4


def test_the_builder_tells_how_far_it_is(tiny_onnx):
    told = []
    compile_plan(
        "tensorrt-rtx",
        tiny_onnx.read_bytes(),
        Options(compute_capabilities=(86,)),
        lambda stage, share=None: told.append((stage, share)),
    )
    assert told[0][0].startswith("TensorRT: ")
    assert told[-1][1] == 1


def test_an_interrupt_ends_the_build_and_leaves_nothing(tiny_onnx, tmp_path):
    def interrupted(stage, share=None):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tensorrt.build_rtx(
            Artefact.open(tiny_onnx), tmp_path / "x.engine", Options(compute_capabilities=(86,)), interrupted
        )
    assert engine_cache.entries() == []
    assert not (tmp_path / "x.engine").exists()


def test_a_version_compatible_plan(tiny_onnx):
    options = Options(compute_capabilities=(86,), version_compatible=True)
    assert compile_plan("tensorrt-rtx", tiny_onnx.read_bytes(), options, silent).data


def test_a_plan_takes_its_memory_from_us_as_capturing_demands():
    import tensorrt_rtx as api

    logger = api.Logger(api.Logger.ERROR)
    builder = api.Builder(logger)
    config = builder.create_builder_config()
    _configure(api, builder, config, Options(), "tensorrt-rtx")
    assert config.get_flag(api.BuilderFlag.REQUIRE_USER_ALLOCATION)


def test_a_graph_that_the_parser_refuses(make_onnx):
    path = make_onnx(lambda model: setattr(model.graph.node[1], "op_type", "NoSuchOperator"))
    with pytest.raises(ArtefactError, match=r"^x\.onnx: tensorrt-rtx does not take this graph: \S"):
        compile_plan("tensorrt-rtx", path.read_bytes(), Options(), silent, where="x.onnx")


def test_weights_are_stripped_only_where_there_is_a_gpu(tiny_onnx):
    with pytest.raises(BackendError, match="where there is a GPU"):
        compile_plan("tensorrt-rtx", tiny_onnx.read_bytes(), Options(strip_weights=True), silent)


def test_tensorrt_without_a_gpu_names_the_ways_round(tiny_onnx, tmp_path, monkeypatch):
    source = Artefact.open(tiny_onnx)
    monkeypatch.setattr(devices, "runtime_version", lambda name: None)
    with pytest.raises(BackendError, match=r"pip install 'crossiqa-edge\[tensorrt\]'"):
        tensorrt.build(source, tmp_path / "x.engine", Options(), silent)
    monkeypatch.setattr(devices, "runtime_version", lambda name: "11.4.0.106")
    with pytest.raises(BackendError, match=r"tensorrt-rtx builds without one"):
        tensorrt.build(source, tmp_path / "x.engine", Options(), silent)


class TestCapabilities:
    def test_turing_is_built_for_alone_in_float32(self):
        with pytest.raises(ConfigError, match="for it alone"):
            capabilities_of(Options(compute_capabilities=(86, 75)), "fp32")
        assert capabilities_of(Options(compute_capabilities=(75,)), "fp32") == (75,)
        assert capabilities_of(Options(compute_capabilities=(86, 75)), "int8") == (75, 86)

    def test_an_unknown_one_gets_the_known_ones(self):
        with pytest.raises(ConfigError, match="choose from 75, 80"):
            capabilities_of(Options(compute_capabilities=(87,)), "fp16")

    def test_none_asked_for_is_the_gpu_at_hand_or_all(self, monkeypatch):
        assert capabilities_of(Options(), "fp16") == RTX_CAPABILITIES
        assert capabilities_of(Options(), "fp32") == RTX_CAPABILITIES[1:]
        monkeypatch.setattr("crossiqa_edge.export.trt_builder.device", lambda: Device("RTX", 89))
        assert capabilities_of(Options(), "fp32") == (89,)

    def test_the_library_still_has_them_all(self):
        import tensorrt_rtx

        found = {name for name in tensorrt_rtx.ComputeCapability.__members__ if name.startswith("SM")}
        assert found == {f"SM{capability}" for capability in RTX_CAPABILITIES}


class Recorder:
    """A builder configuration that writes down what it is told."""

    def __init__(self):
        object.__setattr__(self, "told", {})

    def __setattr__(self, name, value):
        self.told[name] = value

    def set_flag(self, flag):
        self.told[flag] = True

    def set_memory_pool_limit(self, pool, size):
        self.told[pool] = size


API = SimpleNamespace(
    BuilderFlag=SimpleNamespace(
        GPU_FALLBACK="fallback", VERSION_COMPATIBLE="compatible", EXCLUDE_LEAN_RUNTIME="lean"
    ),
    MemoryPoolType=SimpleNamespace(WORKSPACE="workspace"),
    HardwareCompatibilityLevel=SimpleNamespace(AMPERE_PLUS="ampere"),
    DeviceType=SimpleNamespace(DLA="dla"),
)


class TestOptionsOfTensorRT:
    """What needs TensorRT proper, on a configuration that only writes down."""

    def configured(self, options, cores=2):
        config = Recorder()
        _configure(API, SimpleNamespace(num_DLA_cores=cores), config, options, "tensorrt")
        return config.told

    def test_nothing_unless_asked_for(self):
        assert self.configured(Options()) == {}

    def test_memory_and_compatibility(self):
        told = self.configured(Options(workspace=3, hardware_compatible=True, version_compatible=True))
        assert told == {
            "workspace": 3 << 20,
            "hardware_compatibility_level": "ampere",
            "compatible": True,
            "lean": True,
        }

    def test_an_accelerator_falls_back_to_the_gpu_and_takes_one_batch(self):
        told = self.configured(Options(dla=1))
        assert told == {"default_device_type": "dla", "DLA_core": 1, "fallback": True}
        assert tensorrt.profile_of(Options(dla=1, opt_batch=4)) == (4, 4, 4)

    def test_an_accelerator_that_is_not_there(self):
        with pytest.raises(ConfigError, match="sees 0 accelerators"):
            self.configured(Options(dla=0), cores=0)

"""The TensorRT plugin, up to the call into TensorRT: a stand-in module records what is registered."""

import inspect
from dataclasses import dataclass, field
from enum import Enum
from types import SimpleNamespace

import pytest

pytest.importorskip("triton", reason="the plugin's kernel needs Triton")
onnx = pytest.importorskip("onnx", reason="the plugin's node needs the export extra")

from crossiqa_edge.errors import BackendError  # noqa: E402
from crossiqa_edge.export import attention_plugin  # noqa: E402
from crossiqa_edge.export.attention_nodes import NAME, NAMESPACE  # noqa: E402
from crossiqa_edge.export.attention_plugin import IDENTITY, for_plugin, obstacle, register  # noqa: E402
from crossiqa_edge.kernels.plugin import TACTICS  # noqa: E402


class DataType(Enum):
    HALF = 1


@dataclass
class TensorDesc:
    """Of TensorRT's descriptions only what the plugin may read."""

    shape: tuple
    shape_expr: tuple
    dtype: DataType = DataType.HALF


@dataclass
class Expression:
    """A size that is not known yet: says what was computed of it."""

    text: str

    def __floordiv__(self, divisor):
        return Expression(f"{self.text} // {divisor}")


@dataclass
class AutoTuneCombination:
    types: str
    layouts: str
    tactics: list


@dataclass
class KernelLaunchParams:
    grid_x: object = 1
    grid_y: object = 1
    grid_z: object = 1
    block_x: object = 1
    shared_mem: object = 0


@dataclass
class SymIntExprs:
    length: int
    values: dict = field(default_factory=dict)

    def __setitem__(self, index, value):
        assert index < self.length
        self.values[index] = value


@pytest.fixture
def plugin():
    registered = {}

    def decorator(kind):
        return lambda identity: lambda function: registered.setdefault((kind, identity), function)

    return SimpleNamespace(
        registered=registered,
        **{kind: decorator(kind) for kind in ("register", "autotune", "aot_impl")},
        TensorDesc=TensorDesc,
        AutoTuneCombination=AutoTuneCombination,
        KernelLaunchParams=KernelLaunchParams,
        SymIntExprs=SymIntExprs,
        SymInt32=lambda value: ("int32", value),
        cdiv=lambda size, block: Expression(f"ceil({size.text} / {block})"),
        from_shape_expr=lambda shape, dtype: (shape, dtype),
    )


@pytest.fixture
def qkv():
    names = tuple(map(Expression, ("batch", "tokens", "packed")))
    return TensorDesc((2, 197, 3 * 4 * 32), names)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))


def test_the_output_has_a_third_of_the_width(plugin, qkv):
    register(plugin, 87)
    shape, dtype = plugin.registered["register", IDENTITY](qkv, 4, 1.0)
    assert [size.text for size in shape] == ["batch", "tokens", "packed // 3"]
    assert dtype is DataType.HALF


def test_several_tiles_are_offered_in_one_layout(plugin, qkv):
    register(plugin, 87)
    (combination,) = plugin.registered["autotune", IDENTITY](qkv, (qkv,))
    assert combination.tactics == list(range(1, TACTICS + 1))
    assert TACTICS >= 2
    assert [part.strip() for part in combination.types.split(",")] == ["FP32|FP16|BF16"] * 2
    assert combination.layouts == "LINEAR"


@pytest.mark.parametrize("tactic", range(1, TACTICS + 1))
def test_the_launch_fits_the_kernel(plugin, qkv, tactic):
    register(plugin, 87)
    entry, ptx, launch, numbers = plugin.registered["aot_impl", IDENTITY](qkv, 4, 1.0, (qkv,), tactic)
    block = 64 // tactic
    assert f".visible .entry {entry}(" in ptx
    assert ptx.count(".param .") == 3
    assert f".reqntid {launch.block_x}" in ptx
    assert launch.grid_x == Expression(f"ceil(tokens / {block})")
    assert (launch.grid_y, launch.grid_z) == (4, Expression("batch"))
    assert launch.shared_mem > 0
    assert (numbers.length, numbers.values) == (1, {0: ("int32", Expression("tokens"))})


def test_tensorrt_can_read_the_signatures(plugin):
    """TensorRT insists on names, order and annotations that are its own types, not text."""
    register(plugin, 87)
    parameters = {
        kind: inspect.signature(function).parameters for (kind, _), function in plugin.registered.items()
    }
    assert list(parameters["register"]) == ["qkv", "heads", "scale"]
    assert list(parameters["autotune"]) == ["qkv", "outputs"]
    assert list(parameters["aot_impl"]) == ["qkv", "heads", "scale", "outputs", "tactic"]
    assert parameters["register"]["qkv"].annotation is TensorDesc
    assert [parameters["aot_impl"][name].annotation for name in ("heads", "scale", "tactic")] == [
        int,
        float,
        int,
    ]
    made = inspect.signature(plugin.registered["aot_impl", IDENTITY]).return_annotation
    assert made == tuple[str, str, KernelLaunchParams, SymIntExprs]


@pytest.fixture(scope="module")
def with_node():
    """The smallest graph that asks for the plugin, and has the function beside it."""
    helper, kinds = onnx.helper, onnx.TensorProto
    ports = [helper.make_tensor_value_info(name, kinds.FLOAT, [1, 5, 96]) for name in ("x", "y")]
    node = helper.make_node(NAME, ["x"], ["y"], domain=NAMESPACE, heads=1, scale=1.0)
    body = helper.make_node("Identity", ["a"], ["b"])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(NAMESPACE, 1)]
    function = helper.make_function(NAMESPACE, NAME, ["a"], ["b"], [body], opsets[:1])
    graph = helper.make_graph([node], "asks", ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=opsets, functions=[function])
    return model.SerializeToString()


@pytest.fixture
def gpu(monkeypatch):
    """A machine with an Orin, where nothing is registered yet."""
    monkeypatch.setattr(attention_plugin, "device", lambda: SimpleNamespace(name="Orin", capability=87))
    attention_plugin._registered.cache_clear()
    yield
    attention_plugin._registered.cache_clear()


def test_a_builder_gets_the_node_alone_and_the_plugin_once(plugin, gpu, with_node, monkeypatch):
    counted = []
    register_once = plugin.register
    plugin.register = lambda identity: counted.append(identity) or register_once(identity)
    monkeypatch.setattr(attention_plugin, "import_module", {"tensorrt.plugin": plugin}.__getitem__)
    for _ in range(2):
        model = onnx.load_from_string(for_plugin(with_node, "tensorrt"))
        assert [node.op_type for node in model.graph.node] == [NAME]
        assert not model.functions
    assert counted == [IDENTITY]


def test_graphs_that_do_not_ask_and_runtimes_without_plugins_are_left_alone(tiny_onnx, with_node):
    plain = tiny_onnx.read_bytes()
    assert for_plugin(plain, "tensorrt") is plain
    assert for_plugin(with_node, "tensorrt-rtx") is with_node


def test_without_a_gpu_or_tensorrt_it_is_one_line(gpu, with_node, monkeypatch):
    def absent(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(attention_plugin, "import_module", absent)
    with pytest.raises(BackendError, match="no Python plugins"):
        for_plugin(with_node, "tensorrt")
    monkeypatch.setattr(attention_plugin, "device", lambda: SimpleNamespace(name="V100", capability=70))
    with pytest.raises(BackendError, match="no attention plugin for sm_70"):
        for_plugin(with_node, "tensorrt")
    monkeypatch.setattr(attention_plugin, "device", lambda: None)
    with pytest.raises(BackendError, match="there is none"):
        for_plugin(with_node, "tensorrt")


def test_an_older_tensorrt_is_told_apart():
    assert "10.8" in obstacle(SimpleNamespace(register=None))
    with pytest.raises(BackendError, match=r"install TensorRT 10\.8"):
        register(SimpleNamespace(register=None), 87)

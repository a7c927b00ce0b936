"""The loader against a driver that writes down what it is told: every byte of a launch is checked."""

import ctypes
import os
import shutil
import struct
import subprocess
import sys
from enum import IntEnum
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_pack import packed

from crossiqa_edge.errors import ArtefactError, BackendError, ConfigError, MissingDependencyError
from crossiqa_edge.kernels.catalogue import INT8, MODULES, TRAINING, specs
from crossiqa_edge.kernels.loader import Kernels, parameter_buffer
from crossiqa_edge.kernels.manifest import Use
from crossiqa_edge.kernels.pack import Pack
from crossiqa_edge.kernels.spec import Workload

PARAMETERS = (("x_pointer", "*fp16"), ("rows", "i32"), ("out_pointer", "*fp16"), ("stride", "i32"))
POINTERS = {"x_pointer": 0x7F00_0000_1000, "out_pointer": 0x7F00_0000_2000}
LAUNCHED = struct.pack("<QIxxxxQIxxxxQQ", 0x7F00_0000_1000, 197, 0x7F00_0000_2000, 576, 0, 0)


class Result(IntEnum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_INVALID_IMAGE = 200


class Driver:
    """Answers like ``cuda.bindings.driver`` and remembers; ``fail`` names a function that shall fail."""

    CUdevice_attribute = SimpleNamespace(
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR="major",
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR="minor",
    )
    CUfunction_attribute = SimpleNamespace(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES="shared")

    def __init__(self, capability=(8, 7), fail=None):
        self.capability = dict(zip(("major", "minor"), capability, strict=True))
        self.fail = fail
        self.calls = []
        self.launches = []

    def __getattr__(self, name):
        if not name.startswith("cu"):
            raise AttributeError(name)

        def call(*arguments):
            if name == self.fail:
                return (Result.CUDA_ERROR_INVALID_IMAGE,)
            self.calls.append((name, arguments))
            return getattr(self, "_" + name, lambda *_: (Result.CUDA_SUCCESS,))(*arguments)

        return call

    def _cuCtxGetDevice(self):  # noqa: N802 - the driver's names
        return Result.CUDA_SUCCESS, 0

    def _cuDeviceGetAttribute(self, attribute, device):  # noqa: N802
        return Result.CUDA_SUCCESS, self.capability[attribute]

    def _cuDriverGetVersion(self):  # noqa: N802
        return Result.CUDA_SUCCESS, 12090

    def _cuModuleLoadData(self, image):  # noqa: N802
        return Result.CUDA_SUCCESS, ("module", image)

    def _cuModuleGetFunction(self, module, name):  # noqa: N802
        return Result.CUDA_SUCCESS, ("function", module, name)

    def _cuLaunchKernel(self, function, *arguments):  # noqa: N802
        *shape, stream, parameters, extra = arguments
        words = (ctypes.c_void_p * 5).from_address(extra)
        assert (words[0], words[2], words[4]) == (1, 2, None)  # buffer, its size, end
        length = ctypes.c_size_t.from_address(words[3]).value
        self.launches.append((function, tuple(shape), stream, parameters, ctypes.string_at(words[1], length)))
        return (Result.CUDA_SUCCESS,)


def make_pack(shared=1024, aligned=("stride",), fixed=()):
    code = b"a cubin"
    grid = ((("rows", 16),),)
    own = {"fixed": fixed, "aligned": aligned, "shared": shared, "warps": 8, "grid": grid}
    kernel = packed(code, 0, parameters=PARAMETERS, **own)
    uses = tuple(
        Use("double", 87, "fp16", batch, 0, {"rows": 197 * batch, "stride": 576}) for batch in (1, 8)
    )
    return Pack("nano@0123", "3.8.0", (kernel,), uses, code)


@pytest.fixture
def driver():
    return Driver()


def test_a_launch_byte_by_byte(driver):
    kernels = Kernels(make_pack(), dtype="fp16", batch=1, driver=driver)
    kernels.launch("double", POINTERS, stream=77)
    (launch,) = driver.launches
    assert launch == (
        ("function", ("module", b"a cubin"), b"double_kernel"),
        (13, 1, 1, 256, 1, 1, 1024),  # grid, block of 8 warps, shared memory
        77,
        0,
        LAUNCHED,
    )


def test_sizes_may_differ_from_those_of_the_build(driver):
    kernels = Kernels(make_pack(), dtype="fp16", batch=8, driver=driver)
    kernels.launch("double", POINTERS, sizes={"rows": 17})
    _, shape, _, _, buffer = driver.launches[0]
    assert shape[0] == 2
    assert struct.unpack_from("<I", buffer, 8) == (17,)


def test_sizes_that_the_code_was_compiled_for_may_not(driver):
    """Attention has the digits of its tokens compiled in: of more it would leave keys out, without a word."""
    kernels = Kernels(make_pack(fixed=("stride",)), dtype="fp16", batch=1, driver=driver)
    kernels.launch("double", POINTERS, sizes={"rows": 17, "stride": 576})
    with pytest.raises(ConfigError, match="double was compiled for stride = 576 alone"):
        kernels.launch("double", POINTERS, sizes={"stride": 1152})
    assert len(driver.launches) == 1


def test_attention_is_compiled_for_its_tokens():
    workload = Workload(87, "fp16", 1, tokens=197, width=192, heads=3, hidden=768)
    attentions = [spec for spec in specs(workload, [*MODULES, *TRAINING, *INT8]) if "attention" in spec.name]
    assert len(attentions) == 5
    assert all(spec.fixed == ("tokens",) for spec in attentions)


@pytest.mark.parametrize(("shared", "asked"), [(48 << 10, False), ((48 << 10) + 16, True)])
def test_more_shared_memory_than_usual_is_asked_for(driver, shared, asked):
    Kernels(make_pack(shared), dtype="fp16", batch=1, driver=driver)
    requests = [arguments[1:] for name, arguments in driver.calls if name == "cuFuncSetAttribute"]
    assert requests == ([("shared", shared)] if asked else [])


def test_only_what_the_workload_needs_is_loaded_and_all_of_it_is_unloaded(driver):
    kernels = Kernels(make_pack(), dtype="fp16", batch=1, driver=driver)
    assert kernels.names == ("double",)
    assert [name for name, _ in driver.calls].count("cuModuleLoadData") == 1
    kernels.close()
    assert driver.calls[-1] == ("cuModuleUnload", (("module", b"a cubin"),))


@pytest.mark.parametrize(
    ("capability", "dtype", "batch"), [((8, 6), "fp16", 1), ((8, 7), "bf16", 1), ((8, 7), "fp16", 2)]
)
def test_a_workload_that_was_not_built_is_refused(capability, dtype, batch):
    with pytest.raises(ArtefactError, match=r"no kernels for sm_8\d, .*crossiqa kernels build"):
        Kernels(make_pack(), dtype=dtype, batch=batch, driver=Driver(capability))


@pytest.mark.parametrize("function", ["cuCtxGetDevice", "cuModuleLoadData", "cuLaunchKernel"])
def test_a_driver_that_fails_is_a_backend_error(function):
    with pytest.raises(BackendError, match=f"{function} failed: CUDA_ERROR_INVALID_IMAGE"):
        Kernels(make_pack(), dtype="fp16", batch=1, driver=Driver(fail=function)).launch("double", POINTERS)


def test_a_driver_that_cannot_read_the_code_is_told_with_its_version():
    with pytest.raises(BackendError, match=r"this driver is CUDA 12\.9's, .* update the driver"):
        Kernels(make_pack(), dtype="fp16", batch=1, driver=Driver(fail="cuModuleLoadData"))


@pytest.mark.parametrize(
    ("pointers", "sizes", "message"),
    [
        ({"x_pointer": 16}, {}, "takes pointers"),
        ({**POINTERS, "y_pointer": 16}, {}, "takes pointers"),
        ({**POINTERS, "x_pointer": 8}, {}, "x_pointer must be a multiple of 16"),
        (POINTERS, {"stride": 577}, "stride must be a multiple of 16"),
        (POINTERS, {"rows": 1 << 31}, "does not fit"),
        (POINTERS, {"rows": 0}, "launch grid"),
        (POINTERS, {"rows": 1.5}, "does not fit"),
    ],
)
def test_launches_that_would_go_wrong_on_the_device_are_refused(driver, pointers, sizes, message):
    kernels = Kernels(make_pack(), dtype="fp16", batch=1, driver=driver)
    with pytest.raises(ConfigError, match=message):
        kernels.launch("double", pointers, sizes=sizes)
    assert not driver.launches


def test_an_unknown_kernel_is_refused(driver):
    with pytest.raises(ConfigError, match="no kernel 'triple'; it has double"):
        Kernels(make_pack(), dtype="fp16", batch=1, driver=driver).launch("triple", {})


def test_wide_numbers_start_at_multiples_of_their_size():
    kernel = packed(b"x", 0, parameters=(("rows", "i32"), ("scale", "fp32"), ("stride", "i64")))
    assert parameter_buffer(kernel, {}, {"rows": 1, "scale": 0.5, "stride": 3}) == struct.pack(
        "<ifqQQ", 1, 0.5, 3, 0, 0
    )


def test_without_cuda_python_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(MissingDependencyError, match=r"crossiqa-edge\[cuda\]"):
        Kernels(make_pack(), dtype="fp16", batch=1)


def test_neither_triton_nor_torch_is_imported():
    code = "import sys, crossiqa_edge.kernels.loader; print({'torch', 'triton', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


RUN = """
import sys
sys.path.insert(0, sys.argv[1])
from test_loader import POINTERS, make_pack
from crossiqa_edge.kernels.loader import Kernels
kernels = Kernels(make_pack(shared=50_000), dtype="fp16", batch=1)
kernels.launch("double", POINTERS, stream=77)
kernels.close()
"""


def test_cuda_python_itself_passes_it_all_on(tmp_path):
    """The real cuda-python, over a library that stands in for libcuda and prints what reaches it."""
    pytest.importorskip("cuda.bindings.driver", reason="needs the cuda extra")
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler for the stand-in")
    source = Path(__file__).with_name("stand_in_driver.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", tmp_path / "libcuda.so.1", source], check=True)
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        env={**os.environ, "LD_LIBRARY_PATH": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "load a cubin",
        "function 0x10 double_kernel",
        "attribute 0x20 8 50000",
        "launch 0x20 13 1 1 256 1 1 50000 0x4d 1",
        "words 1 2 0",
        f"bytes {LAUNCHED.hex()}",
        "unload 0x10",
    ]

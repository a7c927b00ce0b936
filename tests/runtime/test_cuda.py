"""The calls into the CUDA bindings: without a driver each fails as ours, and none for its arguments."""

from unittest.mock import Mock

import pytest

from crossiqa_edge.errors import BackendError
from crossiqa_edge.runtime import devices
from crossiqa_edge.runtime.cuda import CudaRuntime

pytest.importorskip("cuda.bindings", reason="needs cuda-bindings")
pytestmark = pytest.mark.skipif(devices.device() is not None, reason="made-up handles are for no real GPU")


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("stream", ()),
        ("event", ()),
        ("pinned", (16,)),
        ("allocate", (16,)),
        ("memory", ()),
        ("copy", (0, 0, 16, 0)),
        ("record", (0, 0)),
        ("wait", (0,)),
        ("synchronise", (0,)),
        ("synchronise_device", ()),
        ("capture", (0, lambda: None)),
        ("launch", (0, 0)),
    ],
)
def test_every_call_reaches_the_library_and_its_error_comes_back(method, arguments):
    with pytest.raises(BackendError, match=r"^CUDA: cuda\w+ failed with cudaError\w+; see `crossiqa doctor`"):
        getattr(CudaRuntime(), method)(*arguments)


def test_a_stream_is_not_left_capturing_where_the_work_fails():
    runtime, library = CudaRuntime(), Mock()
    library.cudaStreamBeginCapture.return_value = (library.cudaError_t.cudaSuccess,)
    library.cudaStreamEndCapture.return_value = (library.cudaError_t.cudaSuccess, 1)
    runtime._runtime = library
    with pytest.raises(ZeroDivisionError):
        runtime.capture(7, lambda: 1 / 0)
    library.cudaStreamEndCapture.assert_called_once_with(7)


def test_closing_without_having_made_anything():
    CudaRuntime().close()


def test_there_is_no_device():
    assert devices.device() is None

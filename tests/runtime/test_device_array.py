"""Arrays in GPU memory: understood, copied to main memory, or refused; on a made-up device."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from fake_cuda import FakeCuda, as_torch_has_it, on_device

from crossiqa_edge.errors import BackendError, InputError, MissingDependencyError
from crossiqa_edge.runtime.cuda import CudaRuntime
from crossiqa_edge.runtime.device_array import ANY_STREAM, DeviceReader, device_array


@pytest.fixture
def cuda():
    return FakeCuda()


@pytest.fixture
def reader(cuda):
    return DeviceReader(cuda)


def picture(height=48, width=64, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_what_is_in_main_memory_is_left_alone():
    assert device_array(picture()) is None


def test_address_shape_and_stream():
    array = picture()
    found = device_array(on_device(array, stream=2))
    assert (found.address, found.shape, found.stream) == (array.ctypes.data, (48, 64, 3), 2)
    assert found.is_uint8 and found.contiguous
    assert device_array(on_device(array, strides=array.strides)) == device_array(on_device(array))


@pytest.mark.parametrize("shape", [(48, 64, 3), (72, 64), (5,)])
def test_arrays_of_any_shape_come_whole(reader, shape):
    array = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    np.testing.assert_array_equal(reader.fetch(on_device(array)), array)


def test_rows_may_lie_apart(reader):
    wide = picture(width=80)
    np.testing.assert_array_equal(reader.fetch(on_device(wide[:, :64])), wide[:, :64])


def test_one_buffer_serves_all_that_fit_into_it(reader, cuda):
    large, small = picture(96, 128), picture(48, 64, seed=1)
    first = reader.fetch(on_device(large))
    made = len(cuda.buffers)
    second = reader.fetch(on_device(small))
    assert len(cuda.buffers) == made and np.shares_memory(first, second)
    np.testing.assert_array_equal(second, small)


def test_it_waits_for_the_stream_that_makes_the_array(reader, cuda):
    array = np.zeros((48, 64, 3), np.uint8)
    made = picture()
    (own,) = cuda.queues
    cuda.enqueue(lambda: np.copyto(array, made), stream=1)
    np.testing.assert_array_equal(reader.fetch(on_device(array, stream=1)), made)
    assert cuda.synchronised == [1, own]


def unnamed(array):
    """By version 3, yet with no word of a stream."""
    tensor = on_device(array)
    del tensor.__cuda_array_interface__["stream"]
    return tensor


@pytest.mark.parametrize("maker", [as_torch_has_it, unnamed])
def test_it_waits_for_the_whole_device_where_no_stream_is_named(reader, cuda, maker):
    array = np.zeros((48, 64, 3), np.uint8)
    made = picture()
    (own,) = cuda.queues
    assert device_array(maker(array)).stream == ANY_STREAM
    cuda.enqueue(lambda: np.copyto(array, made), stream=1)
    np.testing.assert_array_equal(reader.fetch(maker(array)), made)
    assert cuda.synchronised == ["device", own]


def test_it_waits_for_nothing_where_the_array_is_said_to_be_done(reader, cuda):
    (own,) = cuda.queues
    reader.fetch(on_device(picture(), stream=None))
    assert cuda.synchronised == [own]


def test_before_version_3_a_stream_means_nothing():
    assert device_array(on_device(picture(), version=2, stream=None)).stream == ANY_STREAM


@pytest.mark.parametrize(
    "wrong",
    [on_device(picture().astype(np.float32)), on_device(picture()[:0]), SimpleNamespace()],
    ids=["floats", "empty", "not on the device"],
)
def test_other_things_are_refused(reader, wrong):
    with pytest.raises(InputError, match="uint8 and not empty"):
        reader.fetch(wrong)


@pytest.mark.parametrize("wrong", [picture()[:, ::2], picture()[..., ::-1], picture()[::-1]])
def test_rows_that_are_not_packed_are_refused(reader, wrong):
    with pytest.raises(InputError, match="must be packed"):
        reader.fetch(on_device(wrong))


def test_a_failure_of_the_device_is_told(reader, cuda):
    cuda.failing = True
    with pytest.raises(BackendError, match="cudaMemcpyAsync"):
        reader.fetch(on_device(picture()))


def test_closing_gives_everything_back(reader, cuda):
    reader.fetch(on_device(picture()))
    reader.close()
    assert cuda.closed


def test_without_the_bindings_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(MissingDependencyError, match=r"crossiqa-edge\[cuda\]"):
        CudaRuntime()

"""Plans are packed and come back; whatever else is given is a clear error, and makes no more than it says."""

import lzma
import subprocess
import sys
import zlib

import pytest
from engine_files import PACKED, PLAN

from crossiqa_edge.errors import ArtefactError
from crossiqa_edge.runtime.packed_plan import compress, expand

SIZE = len(PLAN)


@pytest.mark.parametrize("plan", [b"", b"\0", PLAN, bytes(range(256)) * 5000])
def test_a_plan_comes_back(plan):
    assert expand(compress(plan), len(plan), "x") == plan


def test_other_tools_unpack_it():
    code = "import sys, lzma; sys.stdout.buffer.write(lzma.open(sys.stdin.buffer).read())"
    ran = subprocess.run([sys.executable, "-c", code], input=PACKED, capture_output=True, check=True)
    assert ran.stdout == PLAN


@pytest.mark.parametrize("size", [0, 1, SIZE - 1, SIZE + 1, 2 * SIZE])
def test_another_size_than_it_says_is_refused(size):
    with pytest.raises(ArtefactError, match=r"^x: .*not of the size it says"):
        expand(PACKED, size, "x")


@pytest.mark.parametrize("packed", [PACKED + b"!", PACKED + PACKED, PACKED[:-1], PACKED[:40], b""])
def test_what_is_longer_or_cut_is_refused(packed):
    with pytest.raises(ArtefactError, match=r"^x: "):
        expand(packed, SIZE, "x")


@pytest.mark.parametrize("packed", [b"no xz at all", lzma.compress(PLAN, lzma.FORMAT_ALONE), PLAN])
def test_another_format_is_refused(packed):
    with pytest.raises(ArtefactError, match=r"^x: the plan does not unpack"):
        expand(packed, SIZE, "x")


def test_every_flipped_byte_is_noticed():
    for position in range(len(PACKED)):
        touched = bytearray(PACKED)
        touched[position] ^= 0x10
        with pytest.raises(ArtefactError, match=r"^x: "):
            expand(bytes(touched), SIZE, "x")


def test_a_bomb_takes_no_more_memory_than_its_size_says():
    code = """
import resource, sys
from crossiqa_edge.errors import ArtefactError
from crossiqa_edge.runtime.packed_plan import expand
bomb = sys.stdin.buffer.read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    expand(bomb, 1000, "x")
except ArtefactError:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    bomb = lzma.compress(bytes(1 << 28))
    ran = subprocess.run([sys.executable, "-c", code], input=bomb, capture_output=True, check=True)
    assert int(ran.stdout) < 50_000  # KiB, of 262,144


def test_a_decoder_that_wants_gigabytes_is_refused():
    """A dictionary of 4 GiB, the most that xz knows, in the place of 8 MiB, with a header that is sound."""
    greedy = bytearray(PACKED)
    place = greedy.index(b"\x21\x01") + 2
    greedy[place] = 40
    end = 12 + (greedy[12] + 1) * 4  # of the block's header, which begins behind the stream's
    greedy[end - 4 : end] = zlib.crc32(greedy[12 : end - 4]).to_bytes(4, "little")
    assert lzma.decompress(bytes(greedy)) == PLAN
    with pytest.raises(ArtefactError, match=r"^x: the plan does not unpack"):
        expand(bytes(greedy), SIZE, "x")


def test_a_python_without_lzma_says_so():
    code = """
import sys
sys.modules["_lzma"] = None
from crossiqa_edge.errors import BackendError
from crossiqa_edge.runtime import artefact, packed_plan  # artefacts of other kinds are none the worse
for ask in (packed_plan.check, lambda: packed_plan.compress(b""), lambda: packed_plan.expand(b"", 0, "x")):
    try:
        ask()
    except BackendError as error:
        print(error)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.count("built without it; install liblzma-dev") == 3

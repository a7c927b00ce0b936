"""Compiling without a GPU: right for the target, launchable by the loader, and refused where it is not."""

from dataclasses import replace

import pytest
from small_kernels import double_spec, product_spec, small_specs, small_workload

from crossiqa_edge.errors import BackendError, ConfigError
from crossiqa_edge.kernels import aot
from crossiqa_edge.kernels.aot import build_pack, compile_kernel
from crossiqa_edge.kernels.targets import TARGETS


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))


def test_alignment_hints_reach_the_compiler():
    """Without them Triton reads fp16 element by element, and never asynchronously."""
    spec = product_spec(small_workload())
    compiled = compile_kernel(spec, TARGETS[87])
    assert compiled.assembly.instructions["cp.async.cg"] > 0
    assert compiled.assembly.instructions["mma.sync"] > 0


def test_without_hints_there_is_no_asynchronous_copy(monkeypatch):
    monkeypatch.setattr(aot, "_hints", lambda spec: {})
    compiled = compile_kernel(product_spec(small_workload()), TARGETS[87])
    assert "cp.async.cg" not in compiled.assembly.instructions


def test_orin_gets_ptx_that_its_driver_reads():
    compiled = compile_kernel(double_spec(small_workload()), TARGETS[87])
    assert ".version 8.5" in compiled.ptx
    assert ".target sm_87" in compiled.ptx


def test_the_code_does_not_tell_where_it_was_built():
    compiled = compile_kernel(double_spec(small_workload()), TARGETS[90])
    assert b"small_kernels" not in compiled.cubin
    assert "small_kernels" not in compiled.ptx


def test_the_entry_takes_what_the_loader_passes():
    compiled = compile_kernel(double_spec(small_workload()), TARGETS[80])
    assert compiled.assembly.parameters == ("u64", "u64", "u32", "u32", "u64", "u64")
    assert (compiled.entry, compiled.warps) == ("double_kernel", 4)


def test_an_entry_with_other_hidden_parameters_is_refused(monkeypatch):
    monkeypatch.setattr(aot, "HIDDEN_PARAMETERS", ("*scratch",))
    with pytest.raises(BackendError, match="the loader passes"):
        compile_kernel(double_spec(small_workload()), TARGETS[80])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"constants": {"weight_pointer": None, "WIDTH": 192}}, r"\['BLOCK'\] once"),
        ({"constants": {"weight_pointer": None, "WIDTH": 192, "BLOCK": 256, "rows": 3}}, r"\['rows'\] once"),
        (
            {"signature": {"out_pointer": "*fp16", "x_pointer": "*fp16", "rows": "i32", "stride": "i32"}},
            "order",
        ),
        ({"sizes": {"rows": 3}}, r"no size is given for \['stride'\]"),
        ({"grid": ((("batch", 1),),)}, r"no size is given for \['batch'\]"),
    ],
)
def test_specs_that_do_not_fit_the_function_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        compile_kernel(double_spec(small_workload(), **changes), TARGETS[80])


def test_a_kernel_that_triton_rejects_is_one_line():
    spec = double_spec(small_workload(), constants={"weight_pointer": None, "WIDTH": 192, "BLOCK": 100})
    with pytest.raises(BackendError, match="double for sm_80: Triton failed") as caught:
        compile_kernel(spec, TARGETS[80])
    assert "\n" not in str(caught.value)


def test_interpreted_kernels_cannot_be_compiled(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    with pytest.raises(ConfigError, match="TRITON_INTERPRET"):
        compile_kernel(double_spec(small_workload()), TARGETS[80])


def test_a_pack_holds_shared_forms_once():
    told = []
    workloads = [small_workload(87, 1), small_workload(87, 2), small_workload(80, 1)]
    pack = build_pack("model", workloads, small_specs, told.append)
    pack.check()
    assert len(pack.kernels) == len(told) == 4  # two kernels for two GPUs
    assert len(pack.uses) == 6
    kernel, use = pack.find("double", architecture=87, dtype="fp16", batch=2)
    assert (kernel.entry, kernel.architecture, use.sizes["rows"]) == ("double_kernel", 87, 394)
    assert kernel.parameters[2:] == (("rows", "i32"), ("stride", "i32"))


def test_forms_that_differ_in_their_grid_alone_are_two():
    """They have the same code, but the manifest must launch each by its own rule."""
    first = double_spec(small_workload())
    other = replace(first, name="other", grid=((("rows", 2),),))
    pack = build_pack("model", [small_workload()], lambda workload: [first, other])
    assert [kernel.grid for kernel in pack.kernels] == [first.grid, other.grid]

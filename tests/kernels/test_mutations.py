"""The faults that ``mutations.py`` sows can be sown; sowing them takes minutes, so the tests do not."""

import pytest
from faults import FAULTS
from mutations import ROOT


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_place_of_the_fault_exists_once(fault):
    source = (ROOT / "kernels" / f"{fault.module}.py").read_text()
    assert source.count(fault.old) == 1
    compile(source.replace(fault.old, fault.new), fault.module, "exec")
    assert all((ROOT / "tests" / "kernels" / f"{name}.py").exists() for name in fault.tests)


def test_names_are_unique():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)

"""The faults that ``mutations.py`` sows can be sown; sowing them takes minutes, so the tests do not."""

import pytest
from faults import FAULTS
from hypothesis import settings
from mutations import ROOT, first_failure


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_place_of_the_fault_exists_once(fault):
    source = (ROOT / "kernels" / f"{fault.module}.py").read_text()
    assert source.count(fault.old) == 1
    compile(source.replace(fault.old, fault.new), fault.module, "exec")
    assert all((ROOT / "tests" / "kernels" / f"{name}.py").exists() for name in fault.tests)


def test_names_are_unique():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


def test_a_busy_machine_fails_no_sound_kernel(tmp_path):
    """Which would end the command before its first fault."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_patience.py").write_text(
        "from hypothesis import settings\n\n\ndef test_patience():\n    assert settings().deadline is None\n"
    )
    settings.load_profile("default")  # as in a process of its own
    try:
        assert first_failure(tmp_path, ("test_patience",)) is None
    finally:
        settings.load_profile("patient")

import sys
import time
from importlib import import_module

import pytest

from crossiqa_edge.bench import energy
from crossiqa_edge.bench.energy import Nvml, PowerMonitor, Rapl, find_counter, metered
from crossiqa_edge.bench.facts import weather


def zone(folder, energy, largest=1000):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "energy_uj").write_text(f"{energy}\n")
    (folder / "max_energy_range_uj").write_text(f"{largest}\n")


def test_rapl_sums_packages_and_survives_the_wrap(tmp_path):
    zone(tmp_path / "intel-rapl:0", 900)
    zone(tmp_path / "intel-rapl:1", 100)
    zone(tmp_path / "intel-rapl:0:0", 5)  # a part of package 0, not to be counted twice
    counter = Rapl.find(tmp_path)
    with metered(counter) as spent:
        zone(tmp_path / "intel-rapl:0", 50)  # 150 further, past the end of the counter
        zone(tmp_path / "intel-rapl:1", 130)
    assert spent.joules == pytest.approx(180e-6)


def rails(folder, **channels):
    """An INA3221: label -> (millivolts, milliamperes), in the order of the channels."""
    folder.mkdir()
    (folder / "name").write_text("ina3221\n")
    for number, (label, (volts, amperes)) in enumerate(channels.items(), 1):
        (folder / f"in{number}_label").write_text(f"{label}\n")
        (folder / f"in{number}_input").write_text(f"{volts}\n")
        (folder / f"curr{number}_input").write_text(f"{amperes}\n")


def test_the_rail_of_the_whole_module_is_not_counted_twice(tmp_path):
    """Orin NX and Nano: the other two rails are parts of the first."""
    rails(tmp_path / "hwmon1", VDD_IN=(5000, 2000), VDD_CPU_GPU_CV=(5000, 800), VDD_SOC=(5000, 300))
    monitor = PowerMonitor.find(tmp_path)
    monitor.close()
    assert monitor.watts() == pytest.approx(10.0)
    assert monitor.name == "INA3221 VDD_IN"


def test_rails_are_summed_where_none_is_of_the_whole_module(tmp_path):
    """AGX Orin: processor and memory have rails of their own; the carrier board's are not the module's."""
    rails(tmp_path / "hwmon3", VDD_GPU_SOC=(800, 5000), VDD_CPU_CV=(700, 10_000), VIN_SYS_5V0=(5000, 1000))
    rails(tmp_path / "hwmon4", NC=(0, 9), VDDQ_VDD2_1V8AO=(1800, 500))
    rails(tmp_path / "hwmon5", CVB_ATX_12V=(12_000, 5000))
    monitor = PowerMonitor.find(tmp_path)
    monitor.close()
    assert monitor.watts() == pytest.approx(4.0 + 7.0 + 5.0 + 0.9)
    assert monitor.name == "INA3221 VDD_GPU_SOC + VDD_CPU_CV + VIN_SYS_5V0 + VDDQ_VDD2_1V8AO"


def test_counters_are_absent_where_the_machine_has_none(tmp_path):
    assert Rapl.find(tmp_path) is None
    assert PowerMonitor.find(tmp_path) is None


def test_no_counter_is_no_figure():
    with metered(None) as spent:
        pass
    assert spent.joules is None


def test_a_power_monitor_is_integrated(tmp_path):
    rails(tmp_path / "hwmon3", VDD_IN=(5000, 2000))
    monitor = PowerMonitor.find(tmp_path)
    try:
        assert monitor.watts() == pytest.approx(10.0)
        start = time.perf_counter()
        with metered(monitor) as spent:
            while monitor.joules() < 2.0:  # a fifth of a second at 10 W
                assert time.perf_counter() - start < 30
        assert 2.0 <= spent.joules <= 10.0 * (time.perf_counter() - start) + 1.0
    finally:
        monitor.close()


NVML = """
NVML_CLOCK_SM = 1
counted = [1_000]
works = True

class NVMLError(Exception):
    pass

def nvmlInit():
    pass

def nvmlDeviceGetHandleByIndex(index):
    return f"card {index}"

def nvmlDeviceGetTotalEnergyConsumption(card):
    assert card == "card 0"
    if not works:
        raise NVMLError("Not Supported")
    return counted[0]

def nvmlDeviceGetClockInfo(card, kind):
    if not works:
        raise NVMLError("Not Supported")
    return 1980 if kind == NVML_CLOCK_SM else 0

def nvmlDeviceGetCurrentClocksThrottleReasons(card):
    return 4
"""


@pytest.fixture
def pynvml(tmp_path, monkeypatch):
    """A stand-in for NVIDIA's bindings."""
    (tmp_path / "pynvml.py").write_text(NVML)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    yield import_module("pynvml")
    sys.modules.pop("pynvml", None)


def test_a_cards_own_total_is_in_millijoules(pynvml):
    counter = find_counter("cuda")  # nearer to the work than a board or a processor
    assert isinstance(counter, Nvml)
    with metered(counter) as spent:
        pynvml.counted[0] += 2_500
    assert spent.joules == pytest.approx(2.5)
    assert not isinstance(find_counter("cpu"), Nvml)  # while a CPU works, the card idles
    assert weather()["gpu"] == {"sm_mhz": 1980, "held_back_by": 4}


def test_a_card_that_does_not_count_is_none(pynvml):
    pynvml.works = False
    assert Nvml.find() is None
    assert weather()["gpu"] is None


def test_without_a_driver_there_is_no_card(pynvml):
    def fail():
        raise pynvml.NVMLError("Driver Not Loaded")

    pynvml.nvmlInit = fail
    assert Nvml.find() is None


@pytest.mark.parametrize("present", ["board", "processor"])
def test_the_counter_nearest_to_the_work_is_taken(tmp_path, monkeypatch, present):
    monkeypatch.setattr(energy, "first_card", lambda: None)
    zone(tmp_path / "powercap" / "intel-rapl:0", 900)
    folder = tmp_path / "hwmon" / "hwmon0"
    folder.mkdir(parents=True)
    for name, text in (("name", "ina3221"), ("in1_input", "5000"), ("curr1_input", "2000")):
        (folder / name).write_text(text if present == "board" else "other")
    rapl, board = Rapl.find, PowerMonitor.find
    monkeypatch.setattr(Rapl, "find", lambda: rapl(tmp_path / "powercap"))
    monkeypatch.setattr(PowerMonitor, "find", lambda: board(tmp_path / "hwmon"))
    counter = find_counter("cuda")
    assert counter.name == {"board": "INA3221 hwmon0 in1", "processor": "RAPL"}[present]
    if present == "board":
        counter.close()

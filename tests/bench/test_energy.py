import time

import pytest

from crossiqa_edge.bench.energy import PowerMonitor, Rapl, metered


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


def test_counters_are_absent_where_the_machine_has_none(tmp_path):
    assert Rapl.find(tmp_path) is None
    assert PowerMonitor.find(tmp_path) is None


def test_no_counter_is_no_figure():
    with metered(None) as spent:
        pass
    assert spent.joules is None


def test_a_power_monitor_is_integrated(tmp_path):
    folder = tmp_path / "hwmon3"
    folder.mkdir()
    for name, text in (("name", "ina3221"), ("in1_input", "5000"), ("curr1_input", "2000")):
        (folder / name).write_text(text + "\n")
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

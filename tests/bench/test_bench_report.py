import re

import pytest
from rows_for_tests import row

pytest.importorskip("matplotlib")

from crossiqa_edge.bench.report import report_markdown, write_report


def test_the_report_is_one_page_and_a_picture(tmp_path):
    hostile = row("<script>alert(1)</script>", 20, 0.8)
    write_report([row("nano", 5, 0.6), hostile], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "<script>" not in page
    assert not re.search(r'(src|href)="(?!data:)', page)  # opens without a network
    assert "default-src 'none'" in page
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")


def test_figures_that_do_not_exist_are_dashes(tmp_path):
    write_report([row("nano", 5, None, cold=None)], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "no counter here" in page
    assert "<td>–</td>" in page
    assert "None" not in page.split("<h2>Machine")[0]


def test_a_gpu_tells_its_copies_and_its_memory(tmp_path):
    on_gpu = row("nano", 5, 0.6)
    on_gpu["stages_ms"]["host_to_device"] = 0.123
    on_gpu["cold"]["peak_device_mb"] = 42.4
    of_before = row("older", 6, 0.6)
    del of_before["stages_ms"]["host_to_device"], of_before["stages_ms"]["pool"]
    write_report([on_gpu, of_before], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "<td>0.123</td>" in page
    assert "<td>42</td>" in page
    assert "<td>infer, 70%</td>" in page  # the stage that limits


def test_markdown_names_the_machine_and_marks_the_front():
    lines = report_markdown([row("nano", 5, 0.6), row("tiny", 50, 0.5)]).splitlines()
    assert len({line.count("|") for line in lines[:4]}) == 1
    assert lines[2].rstrip("| ").endswith("front")
    assert "front" not in lines[3]
    assert "A CPU, 2 cores (AVX2)" in lines[-1]


def test_the_caption_names_what_noise_hid():
    noisy = row("nano", 5, 0.6, not_told_apart=[["nano a batch 1", "nano b batch 1"]])
    assert "Too noisy to tell apart, a picture: nano a batch 1 and nano b batch 1." in report_markdown(
        [noisy]
    )
    assert "noisy" not in report_markdown([row("nano", 5, 0.6)])

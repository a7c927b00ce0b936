"""The bench's own programs tell what is wrong in one line, and leave exit code 1 to checks that fail."""

import pytest
from click.testing import CliRunner

from crossiqa_edge.bench import cpu_int8, crf_order, export_table, paired_clips, video


@pytest.mark.parametrize(
    ("program", "arguments", "told"),
    [
        (cpu_int8.main, ["--int8", "nano"], "not the fp32 and the int8 graph"),
        (crf_order.main, ["no-such.mp4"], "no-such.mp4: cannot be read"),
        (export_table.main, ["--model", "no-such"], "no model is named"),
        (paired_clips.main, ["no-such.mp4", "no-such.mp4"], "no-such.mp4: cannot be read"),
        (video.main, ["--photos", "no-such"], "no-such: cannot be read"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(program, arguments, told):
    done = CliRunner().invoke(program, arguments, catch_exceptions=False)
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert told in line


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1", "0"])
@pytest.mark.parametrize("program", [cpu_int8.main, export_table.main, crf_order.main])
def test_a_time_without_end_is_refused(program, seconds):
    done = CliRunner().invoke(program, [f"--seconds={seconds}"])
    assert done.exit_code == 2
    assert "--seconds" in done.output

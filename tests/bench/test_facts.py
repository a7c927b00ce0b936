import json

from crossiqa_edge.bench.facts import commit, facts, throttle_events, weather


def test_facts_are_json_and_name_what_matters():
    found = json.loads(json.dumps(facts()))
    assert found["machine"]["cores"] >= 1
    assert found["libraries"]["onnxruntime"]
    assert "no-such-library" not in found["libraries"]


def test_throttling_is_summed_over_cores(tmp_path):
    for core, count in ((0, 3), (1, 4)):
        folder = tmp_path / f"cpu{core}" / "thermal_throttle"
        folder.mkdir(parents=True)
        (folder / "core_throttle_count").write_text(f"{count}\n")
    assert throttle_events(tmp_path) == 7
    assert weather(tmp_path)["throttle_events"] == 7


def test_a_silent_system_gives_none(tmp_path):
    assert throttle_events(tmp_path) is None
    assert weather(tmp_path)["governor"] is None


def test_no_commit_outside_a_repository(tmp_path):
    assert commit(tmp_path) is None

"""``crossiqa evaluate`` on pictures with known scores: forms of output, probes, bad input, exit codes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("scipy", reason="measuring needs the train extra")

from crossiqa_edge.card import ModelCard

Crossiqa = Callable[..., Any]
COLUMNS = "reference_column=content,distortion_column=type,level_column=level"


def make_set(folder: Path, contents: int = 5) -> Path:
    """Grey pictures, darker with the level; the opinion is the grey level, and so is tiny.onnx's score."""
    folder.mkdir()
    rows = ["file,mos,content,type,level"]
    for content in range(1, contents + 1):
        for level in range(1, 6):
            grey = 230 - 40 * level + content
            name = f"{content}_{level}.png"
            Image.new("RGB", (64, 48), (grey, grey, grey)).save(folder / name)
            rows.append(f"{name},{grey / 2.55:.3f},c{content},dark,{level}")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return make_set(tmp_path / "pictures")


def spec(folder: Path, references: str = "") -> str:
    return f"folder{references}={folder},{COLUMNS}"


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """Bare weights of a micro network."""
    pytest.importorskip("timm", reason="bare weights need the train extra")
    from crossiqa_edge.model.checkpoint import save_model
    from crossiqa_edge.model.quality import QualityModel

    card = ModelCard(name="micro", size="micro", view_size=112)
    save_model(QualityModel(card), card, tmp_path / "micro.safetensors")
    return tmp_path / "micro.safetensors"


def test_json_is_one_document(crossiqa: Crossiqa, tiny_onnx: Path, pictures: Path) -> None:
    done = crossiqa("evaluate", tiny_onnx, "--data", spec(pictures), "--splits", 3, "--json")
    (found,) = json.loads(done.out)["evaluations"]
    assert (done.code, done.err) == (0, "")
    assert (found["model"].split("@")[0], found["data"]) == ("tiny-test", "pictures")
    assert (found["overall"]["n"], found["overall"]["srcc"]) == (25, 1.0)
    assert found["overall"]["order"]["series_in_order"] == 1.0
    assert found["overall"]["rmse"] < 0.1
    assert found["splits"]["count"] == 3 and found["splits"]["median"]["n"] == 5


def test_interval_coverage_of_each_set_and_of_all(crossiqa: Crossiqa, make_onnx: Any, pictures: Path) -> None:
    """Opinions and scores differ by less than a tenth of a point."""
    both = ("--data", spec(pictures, ":1-3"), "--data", spec(pictures, ":5"))
    model = make_onnx(interval_half_widths=(0.0, 1.0), interval_edges=(50.0,))
    document = json.loads(crossiqa("evaluate", model, *both, "--json").out)
    first, second = (one["interval_coverage"] for one in document["evaluations"])
    low, high = first["by_region"]
    assert (first["n"], second["n"], document["pooled_interval_coverage"]["n"]) == (15, 5, 20)
    assert high["coverage"] == 1.0 > low["coverage"]
    table = crossiqa("evaluate", model, *both).out
    assert "All sets together: interval coverage" in table
    probe = crossiqa("evaluate", model, *both[:2], "--splits", 2).out
    assert "interval coverage" in " ".join(probe.split()) and "All sets" not in probe


def test_table_and_markdown(crossiqa: Crossiqa, tiny_onnx: Path, pictures: Path) -> None:
    table = crossiqa("evaluate", tiny_onnx, "--data", spec(pictures), "--splits", 2)
    markdown = crossiqa("evaluate", tiny_onnx, "--data", spec(pictures), "--splits", 2, "--markdown")
    for done in (table, markdown):
        assert (done.code, done.err) == (0, "")
        assert all(word in done.out for word in ("SRCC", "overall", "dark", "1.000", "100%", "on pictures"))
    assert markdown.out.startswith("### ")


def test_subsets_and_several_sets(crossiqa: Crossiqa, tiny_onnx: Path, pictures: Path) -> None:
    both = ("--data", spec(pictures, ":1-3"), "--data", spec(pictures, ":5"))
    done = crossiqa("evaluate", tiny_onnx, *both, "--json", "--limit", 12)
    sizes = [one["overall"]["n"] for one in json.loads(done.out)["evaluations"]]
    assert (done.code, sizes) == (0, [12, 5])


def test_saved_scores_are_the_models(
    crossiqa: Crossiqa, tiny_onnx: Path, pictures: Path, tmp_path: Path
) -> None:
    target = tmp_path / "scores.csv"
    done = crossiqa("evaluate", tiny_onnx, "--data", spec(pictures), "--save-scores", target)
    rows = list(csv.DictReader(target.open()))
    assert (done.code, len(rows)) == (0, 25)
    first = rows[0]
    assert (first["key"], first["reference"], first["level"], first["split"]) == ("1_1.png", "c1", "1", "")
    assert all(abs(float(row["predicted"]) - 100 * float(row["opinion"])) < 0.01 for row in rows)


def test_a_damaged_picture_is_reported_and_counted(
    crossiqa: Crossiqa, tiny_onnx: Path, pictures: Path
) -> None:
    (pictures / "2_3.png").write_bytes(b"")
    done = crossiqa("evaluate", tiny_onnx, "--data", spec(pictures), "--json")
    (found,) = json.loads(done.out)["evaluations"]
    assert (done.code, found["overall"]["n"], list(found["skipped"])) == (1, 24, ["2_3.png"])
    assert len(done.complaints) == 1 and "2_3.png" in done.err


def test_nothing_readable_is_an_error(crossiqa: Crossiqa, tiny_onnx: Path, pictures: Path) -> None:
    for path in pictures.glob("*.png"):
        path.write_bytes(b"")
    done = crossiqa("evaluate", tiny_onnx, "--data", spec(pictures))
    assert (done.code, done.out, len(done.complaints)) == (2, "", 1)
    assert "not one of 25 pictures" in done.err


def test_bare_weights_are_scored_as_the_network_scores_them(
    crossiqa: Crossiqa, trained: Path, pictures: Path, tmp_path: Path
) -> None:
    import numpy as np
    import torch

    from crossiqa_edge.imaging.sampling import sample
    from crossiqa_edge.model.checkpoint import load

    target = tmp_path / "scores.csv"
    done = crossiqa("evaluate", trained, "--data", spec(pictures), "--limit", 3, "--save-scores", target)
    network, _ = load(trained)
    frame = np.asarray(Image.open(pictures / "1_2.png"))
    with torch.inference_mode():
        expected = network(torch.from_numpy(sample(frame, "fragments", size=112))).item()
    rows = {row["key"]: float(row["predicted"]) for row in csv.DictReader(target.open())}
    assert done.code == 0
    assert rows["1_2.png"] == pytest.approx(expected, abs=1e-3)


def test_views_are_passed_on(crossiqa: Crossiqa, tiny_onnx: Path, tmp_path: Path) -> None:
    """Of photographs one view and five have different means, which the tiny graph scores."""
    import numpy as np

    from crossiqa_edge.imaging.sampling import sample
    from crossiqa_edge.imaging.testpattern import photo_like

    folder, target = make_set(tmp_path / "photos", contents=1), tmp_path / "scores.csv"
    frames = {path.name: photo_like(seed, 400, 500) for seed, path in enumerate(sorted(folder.glob("*.png")))}
    for name, frame in frames.items():
        Image.fromarray(frame).save(folder / name)
    for options, views in ((("--views", 5), 5), ((), 1)):
        given = ("--sampling", "fragments", *options, "--save-scores", target)
        assert crossiqa("evaluate", tiny_onnx, "--data", spec(folder), *given).code == 0
        for row in csv.DictReader(target.open()):
            means = sample(frames[row["key"]], "fragments", views=views).mean(axis=(1, 2, 3)) / 2.55
            assert float(row["predicted"]) == pytest.approx(np.mean(means), abs=0.01)
            assert views == 1 or np.ptp(means) > 0.1


def test_probe_within_a_set_beside_an_untrained_encoder(
    crossiqa: Crossiqa, trained: Path, pictures: Path, tmp_path: Path
) -> None:
    target = tmp_path / "scores.csv"
    options = ("--linear-probe", "--random-init", "--splits", 2, "--json", "--save-scores", target)
    done = crossiqa("evaluate", trained, "--data", spec(pictures), *options)
    probed, fresh = json.loads(done.out)["evaluations"]
    assert done.code == 0
    assert "linear probe" in probed["protocol"]
    # Grey level is linear in any network's features of a flat picture, near enough.
    assert probed["overall"]["srcc"] > 0.8
    assert "random init" in fresh["model"] and "random init" not in probed["model"]
    rows = list(csv.DictReader(target.open()))
    assert {row["split"] for row in rows} == {"0", "1"} and len(rows) == 2 * 2 * 5


def test_probe_across_sets(crossiqa: Crossiqa, trained: Path, pictures: Path, tmp_path: Path) -> None:
    other = make_set(tmp_path / "other", contents=2)
    options = ("--linear-probe", "--train-data", spec(pictures), "--json")
    done = crossiqa("evaluate", trained, "--data", spec(other), *options)
    (found,) = json.loads(done.out)["evaluations"]
    assert (done.code, found["data"], found["overall"]["n"]) == (0, "other", 10)
    assert "trained on pictures" in found["protocol"]
    assert found["overall"]["srcc"] > 0.8
    same = crossiqa("evaluate", trained, "--data", spec(pictures, ":1"), *options)
    assert same.code == 2 and "in training and in test" in same.err


def test_a_graph_has_no_features(crossiqa: Crossiqa, tiny_onnx: Path, pictures: Path) -> None:
    done = crossiqa("evaluate", tiny_onnx, "--data", spec(pictures), "--linear-probe")
    assert done.code == 2 and len(done.complaints) == 1
    assert "safetensors" in done.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--random-init"], "--linear-probe"),
        (["--data", "nosuch=."], "unknown data set"),
        (["--data", "folder=nowhere"], "nowhere"),
        (["--data", "nonsense"], "names no data set"),
        (["--save-scores", "nowhere/x.csv"], "cannot write"),
    ],
)
def test_wrong_usage_is_one_line(
    crossiqa: Crossiqa, tiny_onnx: Path, pictures: Path, options: list[str], message: str
) -> None:
    done = crossiqa("evaluate", tiny_onnx, "--data", spec(pictures), *options)
    assert (done.code, done.out, len(done.complaints)) == (2, "", 1)
    assert message in done.err


def test_an_unknown_model_is_one_line(crossiqa: Crossiqa, pictures: Path) -> None:
    done = crossiqa("evaluate", "no-such-model", "--data", spec(pictures))
    assert done.code == 2 and "no-such-model" in done.err and len(done.complaints) == 1


@pytest.fixture
def learnt(make_onnx: Callable[..., Path]) -> Path:
    """A model that, by its card, learnt from three of the five contents."""
    source = {"data": "folder", "hold_out_references": ["c4", "c5"]}
    recipe = {"tuned": {"seed": 0, "bsds_test_apart": False, "sources": [source]}}
    return make_onnx(recipe=recipe, training_data=("pictures, 3 references",))


def test_what_was_held_out_is_measured_alone(crossiqa: Crossiqa, learnt: Path, pictures: Path) -> None:
    done = crossiqa("evaluate", learnt, "--data", spec(pictures), "--held-out", "--json", "--splits", 1)
    (found,) = json.loads(done.out)["evaluations"]
    assert (done.code, done.err) == (0, "")
    assert found["overall"]["n"] == 10


def test_a_set_that_was_learnt_from_is_named(crossiqa: Crossiqa, learnt: Path, pictures: Path) -> None:
    done = crossiqa("evaluate", learnt, "--data", spec(pictures), "--json", "--splits", 1)
    assert done.code == 0
    assert "learnt from 3 of these 5 references; --held-out measures on those that it held out" in done.err
    some = crossiqa("evaluate", learnt, "--data", spec(pictures, ":3-5"), "--json", "--splits", 1)
    assert "learnt from 1 of these 3 references" in some.err
    of_the_held_out = crossiqa("evaluate", learnt, "--data", spec(pictures, ":4-5"), "--json", "--splits", 1)
    assert (of_the_held_out.code, of_the_held_out.err) == (0, "")


def test_held_out_is_a_part_of_the_references_that_were_chosen(
    crossiqa: Crossiqa, learnt: Path, pictures: Path
) -> None:
    command = ("evaluate", learnt, "--held-out", "--json", "--splits", 1, "--data")
    done = crossiqa(*command, spec(pictures, ":3-4"))
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["evaluations"][0]["overall"]["n"] == 5
    refused = crossiqa(*command, spec(pictures, ":1-2"))
    assert refused.code == 2 and "held none of these out" in refused.err


@pytest.mark.parametrize(
    "source", [{"data": "folder", "hold_out": 0.1}, {"data": "folder", "hold_out": 0.1, "of a later day": 1}]
)
def test_a_set_too_small_to_be_parted_is_measured(
    crossiqa: Crossiqa, make_onnx: Callable[..., Path], tmp_path: Path, source: dict[str, object]
) -> None:
    recipe = {"tuned": {"seed": 0, "bsds_test_apart": False, "sources": [source]}}
    model = make_onnx(recipe=recipe, training_data=("pictures, 90 references",))
    small = make_set(tmp_path / "pictures", contents=2)
    done = crossiqa("evaluate", model, "--data", spec(small), "--json", "--splits", 1)
    assert (done.code, done.err) == (0, "")


def test_nothing_is_held_out_of_another_set(crossiqa: Crossiqa, learnt: Path, tmp_path: Path) -> None:
    other = make_set(tmp_path / "pictures", contents=6)
    done = crossiqa("evaluate", learnt, "--data", spec(other), "--json", "--splits", 1)
    assert (done.code, done.err) == (0, "")
    refused = crossiqa("evaluate", learnt, "--data", spec(other), "--held-out")
    assert refused.code == 2
    assert "did not learn from it; leave out --held-out" in refused.err


def test_a_probe_holds_out_by_itself(crossiqa: Crossiqa, learnt: Path, pictures: Path) -> None:
    done = crossiqa("evaluate", learnt, "--data", spec(pictures), "--held-out", "--linear-probe")
    assert done.code == 2
    assert "leave one out" in done.err


def test_opinions_on_another_scale_are_taken_on_it_and_told(
    crossiqa: Crossiqa, tiny_onnx: Path, pictures: Path
) -> None:
    """They were taken as on 0 to 100: the order was right, and all else wrong."""
    hundred = json.loads(crossiqa("evaluate", tiny_onnx, "--data", spec(pictures), "--json").out)
    table = pictures / "labels.csv"
    header, *rows = table.read_text().splitlines()
    fields = [row.split(",") for row in rows]
    five = [[name, f"{1 + float(mos) / 25:.5f}", *rest] for name, mos, *rest in fields]
    table.write_text("\n".join([header, *map(",".join, five)]))
    done = crossiqa("evaluate", tiny_onnx, "--data", spec(pictures), "--json")
    assert "from 1 (worst) to 5 (best); add ,native_range=" in done.err
    (before,), (after,) = hundred["evaluations"], json.loads(done.out)["evaluations"]
    assert after["overall"]["rmse"] == pytest.approx(before["overall"]["rmse"], abs=1e-3)
    given = crossiqa("evaluate", tiny_onnx, "--data", f"{spec(pictures)},native_range=1,5", "--json")
    assert (given.out, given.err) == (done.out, "")

"""The page about accuracy: what is met and missed, whom it is behind, whose figures stand beside whose."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from accuracy_corpora import brightness, column, corpus

pytest.importorskip("scipy", reason="measuring needs the train extra")
pytest.importorskip("timm", reason="encoders need the train extra")

from crossiqa_edge.bench.accuracy_bars import bar_cells, losses
from crossiqa_edge.bench.accuracy_page import main, page
from crossiqa_edge.bench.accuracy_results import Results
from crossiqa_edge.bench.accuracy_rows import (
    FIGURES,
    agreement_row,
    difference_row,
    fact_row,
    in_views,
    read,
)
from crossiqa_edge.bench.accuracy_tables import (
    before_cells,
    overview_cells,
    precision_cells,
    probe_cells,
    views_cells,
)
from crossiqa_edge.bench.jsonl import append
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.scorer import locate

ROOT = Path(__file__).parents[2]
WORLDS = (corpus("tid"), corpus("population"), corpus("authentic", original=False))


def noisy(world, deviation):
    right = brightness(world.test)
    return right + np.random.default_rng(0).normal(0, deviation, right.size)


def rows_of(ours, deviation, peer_deviation=60.0):
    """Rows of one model and one peer on all three worlds."""
    peer = column("BRISQUE", "peer", "brisque-1")
    for world in WORLDS:
        values, theirs = noisy(world, deviation), noisy(world, peer_deviation)
        yield agreement_row(ours, world, values)
        yield agreement_row(peer, world, theirs)
        yield difference_row(ours, peer, world, values, theirs)


def bars(results):
    return {line[0]: line for line in bar_cells(results)[1:]}


def test_bars_are_met_by_what_is_right_and_missed_by_noise():
    right = bars(Results(list(rows_of(column(), 0.1))))
    assert right["SRCC, tid judged"][4] == "met"
    assert right["SRCC, JPEG of TID2013-Kodak (rebuilt)"][4] == "met"
    assert right["five levels in order, population judged"][2:] == ("100.0%", "–", "met")
    assert right["ahead of BRISQUE in every group and type"][4] == "met"
    wrong = bars(Results(list(rows_of(column(), 60.0, 0.1))))
    assert {line[4] for line in wrong.values()} == {"missed", "not measured"}
    assert wrong["SRCC that int8 loses, tid judged"][4] == "not measured"
    assert wrong["SRCC, noise of TID2013-Kodak (rebuilt)"][4] == "not measured"  # no such type in there


def test_every_loss_is_listed():
    results = Results(list(rows_of(column(), 60.0, 0.1)))
    found = {(loss.corpus, loss.group) for loss in losses(results)}
    groups = ("overall", "low", "high", "tid_gaussian_blur", "tid_jpeg")
    assert found == {(key, name) for key in ("tid", "population", "authentic") for name in groups}
    assert losses(Results(list(rows_of(column(), 0.1)))) == []


def test_int8_is_held_to_what_it_loses():
    rows = [*rows_of(column(), 0.1), *rows_of(column("nano int8", digest="i8"), 8.0)]
    results = Results(rows)
    assert bars(results)["SRCC that int8 loses, tid judged"][4] == "missed"
    assert precision_cells(results)[0] == ("set", "nano fp32", "nano int8 (less)")


def test_new_weights_stand_beside_the_old_ones_and_not_among_them():
    old, new = column(digest="old"), column(digest="new")
    rows = [
        *rows_of(old, 60.0),
        *rows_of(column("nano int8", digest="old8"), 60.0),
        *({**row, "made": "9"} for row in rows_of(new, 0.1)),
    ]
    results = Results(rows)
    assert results.model["digest"] == "new"
    assert results.precisions == []  # the int8 file is of the old weights
    header, first, *_ = before_cells(results)
    assert header[2:] == ("before (old)", "now (new)")
    assert float(first[2]) < 0.8 < float(first[3])
    assert losses(results) == []


def test_more_views_stand_in_a_table_of_their_own():
    ours = column()
    more = replace(
        ours, **dict(zip(("name", "role", "digest"), in_views(ours.name, ours.digest, 5), strict=True))
    )
    before = replace(more, digest=in_views(ours.name, "old", 5)[2])
    rows = [*rows_of(ours, 60.0), *rows_of(before, 60.0), *rows_of(more, 0.1)]
    results = Results(rows)
    assert results.model["column"] == "nano fp32"
    assert results.precisions == []  # no other precision, only another reading
    header, one, five = views_cells([results])
    assert [line[:2] for line in (one, five)] == [("nano fp32", "1"), ("nano fp32", "5")]
    assert float(one[2]) < 0.8 < 0.99 < float(five[2])
    assert (header[-2], five[-2]) == ("in order, TID2013-Kodak (rebuilt)", "100.0%")
    assert [line[1] for line in views_cells([Results(list(rows_of(ours, 60.0)))])[1:]] == ["1"]


def test_figures_on_another_set_do_not_stand_beside_ours():
    rows = list(rows_of(column(), 0.1))
    rows = [{**row, "set_digest": "smaller"} if row["column"] == "BRISQUE" else row for row in rows]
    lines = overview_cells([Results(rows)])
    assert lines[0][5] == "BRISQUE"
    assert {line[5] for line in lines[1:]} == {"–"}


def test_probes_stand_under_the_encoder_and_the_world_that_they_are_of():
    encoder = column("nano, pretext alone", "encoder", "e")
    learnt = agreement_row(encoder, WORLDS[0], noisy(WORLDS[0], 0.1), trained_on="authentic")
    splits = fact_row("splits", encoder, corpus="authentic", splits=10, srcc=0.5, quartiles=[0.4, 0.6])
    lines = probe_cells(Results([*rows_of(column(), 0.1), learnt, splits]))
    filled = [line for line in lines[1:] if line[3] != "–"]
    assert [line[:2] for line in filled] == [
        ("LIVE-itW", "TID2013-Kodak (rebuilt)"),
        ("LIVE-itW", "LIVE-itW, median of ten splits"),
    ]
    assert filled[1][3] == "0.500 (quartiles 0.40 0.60)"


def test_members_of_the_family_stand_beside_each_other_and_have_their_own_bars():
    rows = [*rows_of(column(), 60.0), *rows_of(column("tiny fp32", digest="t"), 0.1)]
    members = [Results(rows), Results(rows, "tiny")]
    assert [member.model["digest"] for member in members] == ["abc", "t"]
    header, first, *_ = overview_cells(members)
    assert header[3:7] == ("nano fp32", "95 % interval", "tiny fp32", "95 % interval")
    assert float(first[3]) < 0.9 < float(first[5])
    assert [bars(member)["SRCC, tid judged"][1] for member in members] == ["≥ 0.85", "≥ 0.88"]
    assert not Results(rows, "small").measured


def test_a_page_of_little_says_what_is_absent(tmp_path, capsys):
    for row in rows_of(column(), 60.0, 0.1):
        append(tmp_path / FIGURES, row)
    text = page(tmp_path)
    assert "no, in 0 of 15 comparisons" in text
    assert "not measured" in text
    assert "{" not in text.split("```")[0]  # every place was filled
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == text
    assert main([str(tmp_path / "absent")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_the_reasons_are_of_the_models_that_are_shipped():
    words = (ROOT / "bench" / "accuracy_page.md").read_text()
    for name in ("nano", "tiny"):
        assert Artefact.open(locate(name)).card.identity in words, "run bench.accuracy_reasons anew"


def test_the_cases_of_own_pictures_are_of_the_nano_that_is_shipped():
    words = (ROOT / "docs" / "training.md").read_text()
    assert f"Two cases, with {Artefact.open(locate('nano')).card.identity};" in words


def test_the_committed_page_is_what_the_committed_figures_say(monkeypatch):
    monkeypatch.chdir(ROOT)
    committed = (ROOT / "docs" / "accuracy.md").read_text()
    folder = committed.split("accuracy_page ")[1].split("`")[0]
    assert committed == page(Path(folder))
    assert read(Path(folder) / FIGURES)

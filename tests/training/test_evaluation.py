"""The figures of an evaluation in the three forms in which they leave the package."""

from __future__ import annotations

import io
import json
import math

import numpy as np
import pytest

pytest.importorskip("scipy", reason="measuring needs the train extra")

from rich.console import Console

from crossiqa_edge.data.datasets.base import Sample
from crossiqa_edge.training.evaluation import HEADER, Evaluation, Part, Splits

N_LEVELS = 5


def sample(reference: int, level: int, distortion: str | None = "blur") -> Sample:
    return Sample(
        key=f"{reference}:{distortion}:{level}",
        score=1 - level / 10 - reference / 100,
        reference=str(reference),
        load=lambda: np.zeros((32, 32, 3), np.uint8),
        distortion=distortion,
        level=level,
        band="low" if distortion else None,
    )


def part(predict: dict[int, float], references: range, split: int | None = None) -> Part:
    """Predictions by level, a little different between references so that ranks are not tied."""
    samples = tuple(sample(reference, level) for reference in references for level in predict)
    values = np.array([predict[item.level or 0] - int(item.reference) / 50 for item in samples])
    return Part(samples, values, split)


def evaluation(*parts: Part, skipped: dict[str, str] | None = None) -> Evaluation:
    return Evaluation.of(
        model="nano@abc",
        data="made",
        protocol="model as it is",
        parts=parts,
        splits=Splits.of(parts, seed=3) if len(parts) > 1 else None,
        skipped=skipped or {},
    )


FALLING = {1: 5.0, 2: 4.0, 3: 3.0, 4: 2.0, 5: 1.0}
SWAPPED = {1: 5.0, 2: 3.0, 3: 4.0, 4: 2.0, 5: 1.0}


def test_order_goes_by_level_not_by_position() -> None:
    shuffled = dict(sorted(FALLING.items(), key=lambda item: item[1]))
    assert part(shuffled, range(3)).order.series_right == 3
    assert part(SWAPPED, range(3)).order.pairs_right == 3 * 9


def test_order_counts_no_series_of_one_level_and_no_unknown_level() -> None:
    assert part({3: 1.0}, range(4)).order.series == 0
    authentic = Part((sample(1, 1, None), sample(2, 1, None)), np.array([1.0, 2.0]))
    assert authentic.order.series == 0


def test_several_parts_give_medians_and_summed_orders() -> None:
    parts = (part(FALLING, range(4), 0), part(SWAPPED, range(4), 1), part(SWAPPED, range(4, 8), 2))
    result = evaluation(*parts)
    figures = [one.agreement.srcc for one in parts]
    assert result.overall.agreement.srcc == sorted(figures)[1] < max(figures)
    assert (result.overall.order.series, result.overall.order.series_right) == (12, 4)
    assert result.splits is not None
    assert result.splits.srcc_quartiles == pytest.approx(tuple(np.quantile(figures, (0.25, 0.75))))
    assert result.distortions[0].agreement == result.bands[0].agreement == result.overall.agreement


def test_a_group_that_is_in_some_parts_only_is_measured_there() -> None:
    other = Part(tuple(sample(9, level, "jpeg") for level in range(1, 6)), np.arange(5.0)[::-1].copy(), 1)
    result = evaluation(part(FALLING, range(4), 0), other)
    assert {group.name: group.agreement.n for group in result.distortions} == {"blur": 20, "jpeg": 5}


def test_json_is_strict_and_complete() -> None:
    flat = Part(tuple(sample(0, level) for level in FALLING), np.zeros(N_LEVELS))
    text = json.dumps(evaluation(flat, skipped={"x": "truncated"}).to_dict(), allow_nan=False)
    document = json.loads(text)
    assert set(document) == {
        "model", "data", "protocol", "overall", "by_band", "by_distortion", "splits",
        "interval_coverage", "skipped",
    }  # fmt: skip
    assert document["overall"]["srcc"] is None
    assert document["overall"]["order"] == {
        "series": 1, "series_in_order": 0.0, "pairs_in_order": 0.0, "triples_in_order": 0.0,
    }  # fmt: skip
    assert document["skipped"] == {"x": "truncated"}


def test_table_and_markdown_tell_the_same() -> None:
    result = evaluation(part(FALLING, range(4), 0), part(SWAPPED, range(4), 1), skipped={"x": "truncated"})
    out = io.StringIO()
    Console(file=out, width=140).print(result.to_table())
    markdown = result.to_markdown()
    srcc = f"{result.overall.agreement.srcc:.3f}"
    for text in (out.getvalue(), markdown):
        assert all(name in text for name in (*HEADER, "overall", "blur", "low", srcc))
        assert "nano@abc on made" in text and "1 sample could not be read" in text
        assert "nan" not in text.replace("nano", "")
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {len(HEADER) + 1}
    assert len(rows) == 2 + 3


def test_a_part_too_small_to_measure_does_not_spoil_the_median() -> None:
    tiny = Part((sample(7, 1), sample(7, 2)), np.array([2.0, 1.0]), 2)
    assert math.isnan(tiny.agreement.srcc)
    result = evaluation(part(FALLING, range(4), 0), part(FALLING, range(4), 1), tiny)
    assert result.overall.agreement.srcc == pytest.approx(part(FALLING, range(4)).agreement.srcc)


def test_the_median_over_splits_stands_beside_the_figures_of_the_whole() -> None:
    whole = part(FALLING, range(4))
    splits = Splits.of([part(FALLING, range(2)), part(SWAPPED, range(2))], seed=0)
    result = Evaluation.of(model="m", data="d", protocol="p", parts=[whole], splits=splits, skipped={})
    text = result.to_markdown()
    assert f"| median of 2 splits | 10 | {splits.median.srcc:.3f} |" in text
    assert f"| overall | 20 | {whole.agreement.srcc:.3f} |" in text

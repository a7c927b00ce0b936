"""The HTML report: self-contained, safe against hostile names, complete, and whole or not there at all."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
from pathlib import Path

import pytest
from page_reader import HOSTILE, Page, RawText
from PIL import Image

from crossiqa_edge.errors import InputError, OutputError
from crossiqa_edge.report import images
from crossiqa_edge.report.result import Result
from crossiqa_edge.report.write import report_page, write_report
from crossiqa_edge.score import Score


@pytest.fixture
def results(tmp_path: Path) -> list[Result]:
    """Three scored pictures, not in order, and a failed one."""
    made = []
    for index, value in enumerate([71.25, 8.5, 64.0]):
        path = tmp_path / f"picture{index}.png"
        Image.new("RGB", (400 + index, 300), (40 * index, 90, 160)).save(path)
        interval = (max(value - 10, 0), min(value + 10, 100))
        made.append(Result(str(path), str(path), Score(value, interval, (value,), "m", "b")))
    return [*made, Result("broken.png", None, InputError("broken.png: damaged; export it again"))]


def scores_in_order(page: Page) -> list[float]:
    return [float(found["data-score"] or "") for found in page.find("li")]


def test_pictures_beyond_the_usual_limit_have_their_thumbnails(
    results: list[Result],
) -> None:
    """A limit that lets in more than usual, here less, is that of thumbnails too."""
    assert len(Page(report_page(results, [], {}, max_pixels=401 * 300)).find("img")) == 2
    assert len(Page(report_page(results, [], {}, max_pixels=402 * 300)).find("img")) == 3


def test_nothing_is_fetched_and_the_policy_allows_just_this_page(results: list[Result]) -> None:
    source = report_page(results, [], {"Model": "m"})
    page = Page(source)
    for tag, attributes in page.elements:
        assert tag not in ("link", "iframe", "object", "base")
        assert not [key for key in attributes if key.startswith("on") or key in ("style", "href")]
        assert (attributes.get("src") or "data:").startswith("data:")
    assert "http://" not in source and "https://" not in source
    (policy,) = (
        found["content"] or "" for found in page.find("meta", **{"http-equiv": "Content-Security-Policy"})
    )
    for tag in ("style", "script"):
        (content,) = (text for name, text in RawText(source).blocks if name == tag)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_pictures_come_worst_first_with_thumbnail_size_word_and_interval(results: list[Result]) -> None:
    page = Page(report_page(results, [], {}))
    assert scores_in_order(page) == [8.5, 64.0, 71.25]
    assert [found["data-given"] for found in page.find("li")] == ["1", "2", "0"]
    assert [found["alt"] for found in page.find("img")] == ["picture1.png", "picture2.png", "picture0.png"]
    assert "401 × 300" in page.text()
    assert page.find("svg", **{"aria-label": "8.5 of 100, 0 to 18"})
    for text in ("Pictures", "8.5", "bad", "71.2", "good", "Not scored"):
        assert text in page.text()


def test_reference_and_flags_are_told_on_the_card(results: list[Result]) -> None:
    score = Score(
        50.0, None, (50.0,), "m", "b", flags=("tiny", "graphics"), percentile=62.9, reference="R & D"
    )
    page = Page(report_page([Result("a.png", None, score)], [], {}))
    assert "better than 63 % of R & D" in page.text() and "tiny, graphics" in page.text()
    assert not Page(report_page(results, [], {})).find("p", **{"class": "remarks"})


def test_summary_has_the_mean_median_and_worst(results: list[Result]) -> None:
    text = Page(report_page(results, [], {})).text().split("\n")
    for label, figure in (("Pictures", "3"), ("Mean", "47.9"), ("Median", "64.0"), ("Worst", "8.5")):
        assert text[text.index(label) + 1] == figure
    of_two = Page(report_page(results[:2], [], {})).text().split("\n")
    assert of_two[of_two.index("Median") + 1] == of_two[of_two.index("Mean") + 1] == "39.9"


def test_failures_and_provenance_are_told(results: list[Result]) -> None:
    text = Page(report_page(results, [], {"Model": "nano@abc", "Made": "today"})).text()
    for part in ("Could not be scored", "broken.png", "damaged; export it again", "nano@abc", "today"):
        assert part in text


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    results = [
        Result(HOSTILE, None, Score(50.0, None, (50.0,), "m", "b")),
        Result(HOSTILE, None, InputError(HOSTILE)),
        Result("line\nbreak\udcff\x1b[31m", None, InputError("x")),
    ]
    path = tmp_path / "report.html"
    write_report(path, results, [], {HOSTILE: HOSTILE})
    page = Page(path.read_text("utf-8"))
    assert len(page.find("script")) == 1
    assert not page.find("img")
    assert page.text().count(HOSTILE) == 4  # path and reason of the failure, both halves of the provenance
    assert "line\\nbreak\\udcff\\x1b[31m" in page.text()


def test_a_name_with_quotes_stays_within_its_attribute(results: list[Result]) -> None:
    name = 'a" onerror="alert(1)'
    (shown,) = Page(report_page([Result(name, results[0].source, results[0].outcome)], [], {})).find("img")
    assert shown["alt"] == name and "onerror" not in shown


def test_only_the_worst_are_shown_and_the_rest_listed(
    results: list[Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "MAX_PICTURES", 2)
    page = Page(report_page(results, [], {}))
    assert scores_in_order(page) == [8.5, 64.0]
    assert "the 2 worst of 3" in page.text()
    assert results[0].path in page.text() and "Not shown above" in page.text()


def test_a_picture_that_has_gone_keeps_its_card(results: list[Result]) -> None:
    Path(results[1].path).unlink()
    page = Page(report_page(results, [], {}))
    assert len(page.find("li")) == 3 and len(page.find("img")) == 2
    assert "no preview" in page.text()


def test_a_page_without_any_score_is_still_a_page() -> None:
    page = Page(report_page([Result("a.png", None, InputError("damaged"))], [], {}))
    assert not page.find("li") and not page.find("button")
    assert "damaged" in page.text()


def test_a_full_disk_leaves_the_older_report(
    results: list[Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    folder = tmp_path / "reports"
    folder.mkdir()
    path = folder / "report.html"
    path.write_text("older")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"report\.html.*No space left"):
        write_report(path, results, [], {})
    assert [(found.name, found.read_text()) for found in folder.iterdir()] == [("report.html", "older")]

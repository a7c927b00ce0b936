"""The bars that were set for each model before it was trained, and whether the figures clear them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from crossiqa_edge.bench.accuracy_results import BANDS, CORPORA, Group, Results
from crossiqa_edge.bench.accuracy_rows import CLASSICAL, OVERALL, share
from crossiqa_edge.bench.tables import Cells


@dataclass(frozen=True)
class Bars:
    """What a member of the family is held to.

    Attributes:
        overall: SRCC by corpus.
        each: SRCC of each type of ``_CLASSICAL``.
        in_order: share of series of five levels in perfect order.
    """

    overall: Mapping[str, float]
    each: float
    in_order: float


_BARS = {
    "nano": Bars({"tid": 0.85, "population": 0.85, "authentic": 0.65}, 0.90, 0.75),
    "tiny": Bars({"tid": 0.88, "population": 0.88, "authentic": 0.72}, 0.92, 0.80),
}
_CLASSICAL = {
    "blur": "tid_gaussian_blur",
    "JPEG": "tid_jpeg",
    "JPEG 2000": "tid_jpeg2000",
    "noise": "tid_white_noise",
}
_INT8_LOSS = 0.005
_HEADER: Cells = ("what", "bar", "measured", "95 % interval", "")
_NONE = "–"


@dataclass(frozen=True)
class Loss:
    """A group in which a classical metric agrees better with opinion than today's model, or as well.

    Attributes:
        model, corpus, group, peer: who, where, and against whom.
        figures: ours less the peer's, with the interval.
    """

    model: str
    corpus: str
    group: str
    peer: str
    figures: Group


def bar_cells(results: Results) -> list[Cells]:
    """Header and one line a bar."""
    bars = _BARS[results.size]
    return [
        _HEADER,
        *_overall(results, bars),
        *_types(results, bars),
        *_order(results, bars),
        *_int8(results),
        *_ahead(results),
    ]


def losses(results: Results) -> list[Loss]:
    """Every comparison that today's model does not win, over all corpora, bands and types."""
    return [
        Loss(results.size, corpus, name, peer, found)
        for corpus, name, peer, found in _comparisons(results)
        if found["difference"] is None or found["difference"] <= 0
    ]


def compared(results: Results) -> int:
    """How many comparisons there are."""
    return sum(1 for _ in _comparisons(results))


def _comparisons(results: Results) -> Iterator[tuple[str, str, str, Group]]:
    for corpus in CORPORA:
        for name in (OVERALL, CLASSICAL, *BANDS, *results.types(corpus)):
            for peer in results.names("peer"):
                found = results.difference(peer, corpus, name)
                if found is not None:
                    yield corpus, name, peer, found


def _overall(results: Results, bars: Bars) -> Iterator[Cells]:
    for corpus, bar in bars.overall.items():
        yield _srcc(f"SRCC, {results.set_name(corpus)}", results.ours(corpus), bar)


def _types(results: Results, bars: Bars) -> Iterator[Cells]:
    for words, name in _CLASSICAL.items():
        yield _srcc(f"SRCC, {words} of TID2013-Kodak (rebuilt)", results.ours("tid", name), bars.each)


def _srcc(what: str, found: Group | None, bar: float) -> Cells:
    if found is None or found["srcc"] is None:
        return (what, f"≥ {bar:.2f}", _NONE, _NONE, "not measured")
    low, high = found["interval"]
    return (
        what,
        f"≥ {bar:.2f}",
        f"{found['srcc']:.3f}",
        f"{low:.2f} {high:.2f}",
        _verdict(found["srcc"] >= bar),
    )


def _order(results: Results, bars: Bars) -> Iterator[Cells]:
    for corpus in ("tid", "population"):
        found = results.ours(corpus)
        what = f"five levels in order, {results.set_name(corpus)}"
        if found is None:
            yield (what, f"≥ {bars.in_order:.0%}", _NONE, _NONE, "not measured")
        else:
            right = share(found["series_right"], found["series"])
            yield (what, f"≥ {bars.in_order:.0%}", f"{right:.1%}", _NONE, _verdict(right >= bars.in_order))


def _int8(results: Results) -> Iterator[Cells]:
    int8 = [row for row in results.precisions if row["column"].endswith("int8")]
    for corpus in CORPORA:
        what = f"SRCC that int8 loses, {results.set_name(corpus)}"
        ours = results.ours(corpus)
        found = results.group(int8[-1]["column"], corpus, digest=int8[-1]["digest"]) if int8 else None
        if ours is None or found is None:
            yield (what, f"≤ {_INT8_LOSS}", _NONE, _NONE, "not measured")
        else:
            loss = ours["srcc"] - found["srcc"]
            yield (what, f"≤ {_INT8_LOSS}", f"{loss:+.4f}", _NONE, _verdict(loss <= _INT8_LOSS))


def _ahead(results: Results) -> Iterator[Cells]:
    peers = ", ".join(results.names("peer"))
    what, bar = f"ahead of {peers} in every group and type", "all"
    count = compared(results)
    if not count:
        yield ("ahead of the classical metrics", bar, _NONE, _NONE, "not measured")
    else:
        lost = len(losses(results))
        yield (what, bar, f"{count - lost} of {count}", _NONE, _verdict(lost == 0))


def _verdict(met: bool) -> str:
    return "met" if met else "missed"

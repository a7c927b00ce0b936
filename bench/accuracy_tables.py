"""The tables of docs/accuracy.md: header and lines of cells from results."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from crossiqa_edge.bench.accuracy_bars import Loss
from crossiqa_edge.bench.accuracy_results import BANDS, CORPORA, Group, Results
from crossiqa_edge.bench.accuracy_rows import CLASSICAL, MORE_VIEWS, OVERALL, TUNED_SPLITS, share
from crossiqa_edge.bench.jsonl import Row
from crossiqa_edge.bench.tables import Cells

ENCODERS = ("random init", "pretext alone", "fine-tuned")
Members = Sequence[Results]  # of the same rows, one for each size that was measured
_NONE = "–"
_REBUILT = ("crossed", "straight", "nearer")
_SHORT = {"tid": "TID2013-Kodak (rebuilt)", "population": "population MOS", "authentic": "LIVE-itW"}


def overview_cells(members: Members) -> list[Cells]:
    """SRCC overall and by band on every corpus, and PLCC overall: today's models, peers, yardsticks."""
    results = members[0]
    others = [*results.names("peer"), *results.names("full reference")]
    ours = [cell for member in members for cell in (member.model["column"], "95 % interval")]
    lines: list[Cells] = []
    for corpus in CORPORA:
        for name in (OVERALL, CLASSICAL, *BANDS):
            first = results.ours(corpus, name)
            if first is not None:
                found = (member.ours(corpus, name) for member in members)
                figures = [cell for group in found for cell in (_srcc(group), _interval(group))]
                theirs = (_srcc(results.group(other, corpus, name)) for other in others)
                lines.append((_SHORT[corpus], name, str(first["n"]), *figures, *theirs))
        if (first := results.ours(corpus)) is not None:
            figures = [cell for member in members for cell in (_plcc(member.ours(corpus)), "")]
            theirs = (_plcc(results.group(other, corpus)) for other in others)
            lines.append((_SHORT[corpus], "PLCC", str(first["n"]), *figures, *theirs))
    return [("set", "group", "n", *ours, *others), *lines]


def type_cells(members: Members, corpus: str) -> list[Cells]:
    """SRCC type by type, and how far the first of today's models is ahead of the best peer."""
    results = members[0]
    peers, yardsticks = results.names("peer"), results.names("full reference")
    ours = [cell for member in members for cell in (member.model["column"], "95 % interval", "in order")]
    lead = f"{results.size} less the best of them"
    lines: list[Cells] = []
    for name in results.types(corpus):
        first = results.ours(corpus, name)
        if first is None:
            continue
        found = (member.ours(corpus, name) for member in members)
        ahead = [gain for peer in peers if (gain := results.difference(peer, corpus, name))]
        closest = min(ahead, key=lambda gain: gain["difference"] or 0.0, default=None)
        lines.append(
            (
                *(_words(name), str(first["n"])),
                *(cell for group in found for cell in (_srcc(group), _interval(group), _order(group))),
                *(_srcc(results.group(peer, corpus, name)) for peer in peers),
                *_lead(closest),
                *(_srcc(results.group(other, corpus, name)) for other in yardsticks),
            )
        )
    return [("type", "n", *ours, *peers, lead, "", *yardsticks), *lines]


def loss_cells(found: Sequence[Loss]) -> list[Cells]:
    """Where a peer is not behind."""
    header: Cells = ("model", "set", "group or type", "metric", "ours less theirs", "95 % interval")
    return [
        header,
        *(
            (
                loss.model,
                _SHORT[loss.corpus],
                _words(loss.group),
                loss.peer,
                *_lead(loss.figures)[:1],
                _interval(loss.figures),
            )
            for loss in found
        ),
    ]


def probe_cells(results: Results) -> list[Cells]:
    """Linear probes on frozen encoders, within one world of opinion and across; the ten splits last."""
    encoders = [f"{results.size}, {name}" for name in ENCODERS]
    header: Cells = ("learnt from", "judged", *encoders)
    lines: list[Cells] = []
    for learnt in CORPORA:
        for judged in CORPORA:
            found = [results.group(name, judged, trained_on=learnt) for name in encoders]
            lines.append((_SHORT[learnt], _SHORT[judged], *(_with_interval(group) for group in found)))
    splits = [results.fact("splits", name) for name in encoders[:-1]]
    lines.append(("LIVE-itW", "LIVE-itW, median of ten splits", *map(_splits, splits), _NONE))
    tuned = results.fact(TUNED_SPLITS, encoders[-1])
    if tuned is not None:
        lines.append(("LIVE-itW", "the same, the whole network anew for each", _NONE, _NONE, _splits(tuned)))
    return [header, *lines]


def precision_cells(results: Results) -> list[Cells]:
    """SRCC of today's model in every precision, and what is lost against float32."""
    rows = results.precisions
    header: Cells = ("set", results.model["column"], *(f"{row['column']} (less)" for row in rows))
    lines: list[Cells] = []
    for corpus in CORPORA:
        ours = results.ours(corpus)
        theirs = [results.group(row["column"], corpus, digest=row["digest"]) for row in rows]
        cells = (
            _NONE
            if ours is None or found is None
            else f"{found['srcc']:.4f} ({ours['srcc'] - found['srcc']:+.4f})"
            for found in theirs
        )
        lines.append((_SHORT[corpus], _NONE if ours is None else f"{ours['srcc']:.4f}", *cells))
    return [header, *lines]


def coverage_cells(members: Members) -> list[Cells]:
    """Share of the held-out opinions that lay in the interval of 90 %, set by set and of all together."""
    found = [row["sets"] if (row := _coverage(member)) else {} for member in members]
    names = list(dict.fromkeys(name for sets in found for name in sets))
    lines: list[Cells] = [(name, *(_covered(sets, [name]) for sets in found)) for name in names]
    header: Cells = ("set", *(member.model["column"] for member in members))
    return [header, *lines, ("all together", *(_covered(sets, names) for sets in found))]


def order_cells(members: Members) -> list[Cells]:
    """Share of the series of five levels that are in perfect order."""
    results = members[0]
    others = [*results.names("peer"), *results.names("full reference")]
    header: Cells = ("set", "series", *(member.model["column"] for member in members), *others)
    lines: list[Cells] = []
    for corpus in ("tid", "population"):
        first = results.ours(corpus)
        if first is None:
            continue
        found = [member.ours(corpus) for member in members]
        found += [results.group(other, corpus) for other in others]
        lines.append((_SHORT[corpus], f"all {first['series']}", *map(_order, found)))
        words = f"the {first['clear_series']} whose opinions fall with every level"
        lines.append((_SHORT[corpus], words, *map(_clear_order, found)))
    return [header, *lines]


def views_cells(members: Members) -> list[Cells]:
    """What more views of a picture bring: SRCC on every corpus and on blur, and series in order."""
    header: Cells = ("model", "views a picture", *(_SHORT[corpus] for corpus in CORPORA), "blur")
    lines: list[Cells] = []
    for member, views in itertools.product(members, (None, *MORE_VIEWS)):
        found = [member.read_in(views, corpus) for corpus in CORPORA]
        if any(found):
            blur = member.read_in(views, "tid", "tid_gaussian_blur")
            name = member.model["column"]
            figures = (*map(_srcc, found), _srcc(blur), *map(_order_of_tenths, found[:2]))
            lines.append((name, str(views or 1), *figures))
    in_order = (f"in order, {_SHORT[corpus]}" for corpus in CORPORA[:2])
    return [(*header, *in_order), *lines]


def video_cells(results: Results) -> list[Cells]:
    """Pooled scores of clips at rising CRF."""
    row = results.fact("video", digest=results.model["digest"])
    if row is None:
        return [("not measured",)]
    header: Cells = (results.model["column"], *(f"CRF {crf}" for crf in row["crfs"]), "falls")
    return [header, *(_clip(name, scores) for name, scores in row["clips"].items())]


def reconstruction_cells(results: Results) -> list[Cells]:
    """What the pretext rebuilds, type by type."""
    row = results.fact("reconstruction", f"{results.size}, pretext alone")
    if row is None:
        return [("not measured",)]
    header: Cells = ("degradation", "crossed, dB", "straight, dB", "nearer to its target")
    types = row["types"]
    mean = {key: sum(found[key] for found in types.values()) / len(types) for key in _REBUILT}
    return [header, *(_rebuilt(_words(name), found) for name, found in types.items()), _rebuilt("all", mean)]


def before_cells(results: Results) -> list[Cells]:
    """Today's model beside the one measured before it."""
    before = results.model_before
    if before is None:
        return []
    header: Cells = ("set", "group", f"before ({before['digest']})", f"now ({results.model['digest']})")
    lines: list[Cells] = []
    for corpus in CORPORA:
        for name in (OVERALL, *BANDS):
            now = results.ours(corpus, name)
            then = results.group(before["column"], corpus, name, digest=before["digest"])
            if now is not None and then is not None:
                lines.append((_SHORT[corpus], name, _srcc(then), _srcc(now)))
    return [header, *lines]


def _srcc(found: Group | None) -> str:
    return _NONE if found is None or found["srcc"] is None else f"{found['srcc']:.3f}"


def _plcc(found: Group | None) -> str:
    return _NONE if found is None or found["plcc"] is None else f"{found['plcc']:.3f}"


def _interval(found: Group | None) -> str:
    low, high = found["interval"] if found else (None, None)
    return _NONE if low is None or high is None else f"{low:.2f} {high:.2f}"


def _with_interval(found: Group | None) -> str:
    return _NONE if found is None else f"{_srcc(found)} ({_interval(found)})"


def _lead(found: Group | None) -> tuple[str, str]:
    """The difference with its sign, and the sign in words."""
    if found is None or found["difference"] is None:
        return (_NONE, "")
    low, high = found["interval"]
    sure = low is not None and high is not None and (low > 0 or high < 0)
    words = "behind" if found["difference"] <= 0 else "ahead"
    return (f"{found['difference']:+.3f}", words if sure else f"{words}, within the noise")


def _coverage(member: Results) -> Row | None:
    return member.fact("coverage", digest=member.model["digest"])


def _covered(sets: dict[str, dict[str, float]], names: Sequence[str]) -> str:
    pictures = sum(sets[name]["pictures"] for name in names if name in sets)
    inside = sum(sets[name]["pictures"] * sets[name]["coverage"] for name in names if name in sets)
    return f"{inside / pictures:.1%}" if pictures else _NONE


def _order(found: Group | None) -> str:
    return (
        _NONE if not found or not found["series"] else f"{share(found['series_right'], found['series']):.0%}"
    )


def _order_of_tenths(found: Group | None) -> str:
    if not found or not found["series"]:
        return _NONE
    return f"{share(found['series_right'], found['series']):.1%}"


def _clear_order(found: Group | None) -> str:
    if not found or not found["clear_series"]:
        return _NONE
    return f"{share(found['clear_right'], found['clear_series']):.0%}"


def _clip(name: str, scores: list[float]) -> Cells:
    falls = all(after < before for before, after in itertools.pairwise(scores))
    return (name, *(f"{score:.1f}" for score in scores), "yes" if falls else "no")


def _rebuilt(words: str, found: dict[str, float]) -> Cells:
    crossed, straight, nearer = (found[key] for key in _REBUILT)
    return (words, f"{crossed:.1f}", f"{straight:.1f}", f"{nearer:.0%}")


def _splits(row: Row | None) -> str:
    if row is None:
        return _NONE
    low, high = row["quartiles"]
    return f"{row['srcc']:.3f} (quartiles {low:.2f} {high:.2f})"


def _words(name: str) -> str:
    return name.removeprefix("tid_").replace("_", " ")

"""How fast is video scored, decoding included? `python -m crossiqa_edge.bench.video`

H.264 clips of three sizes are encoded from photographs (see ``video_clips``). Measured are every frame of
each clip in turns, the cost of sampling and scoring without decoding, the latency of live mode at 30
frames a second with and without a slowed backend, and other packages' metrics on the same clip, where
they are installed. Output is Markdown; the machine is named in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

import click
import numpy as np

from crossiqa_edge.bench.command import POSITIVE, Program
from crossiqa_edge.bench.facts import facts, weather
from crossiqa_edge.bench.peers import METRICS, opened
from crossiqa_edge.bench.probe import digest
from crossiqa_edge.bench.video_clips import encode_moving, photographs
from crossiqa_edge.imaging.sampling import Views
from crossiqa_edge.runtime.backend import Backend, Scores
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.runtime.select import AUTO
from crossiqa_edge.video.frames import VideoFrame
from crossiqa_edge.video.pipeline import StreamEnd, stream
from crossiqa_edge.video.policy import Policy
from crossiqa_edge.video.prepare import Preparer
from crossiqa_edge.video.results import FrameScore
from crossiqa_edge.video.source import open_source

SIZES = {"720p": (720, 1280), "1080p": (1080, 1920), "2160p": (2160, 3840)}
FPS = 30
_LIVE = "1080p"
_HELD = 16  # frames of each size in memory at once, for the cost without decoding
_PEER_FRAMES = 8


class Slowed:
    """A backend that takes ``seconds`` longer."""

    def __init__(self, backend: Backend, seconds: float) -> None:
        self._backend = backend
        self._seconds = seconds
        self.name, self.device, self.precision = backend.name, backend.device, backend.precision
        self.reason, self.describe = backend.reason, backend.describe

    def infer(self, views: Views) -> Scores:
        sleep(self._seconds)
        return self._backend.infer(views)

    def close(self) -> None:
        self._backend.close()


@dataclass(frozen=True)
class Run:
    """One clip, scored from its first frame to its last.

    Attributes:
        results: of the frames that came out.
        seconds: of wall time, from opening to the last result.
        end: the stream's.
    """

    results: list[FrameScore]
    seconds: float
    end: StreamEnd

    @property
    def frames_per_second(self) -> float:
        """Frames that came out, a second."""
        return len(self.results) / self.seconds

    def stage_ms(self, stage: str) -> float:
        """Mean milliseconds of a stage, a frame."""
        return float(np.mean([result.timings_ms[stage] for result in self.results]))

    def latencies(self) -> list[float]:
        """Milliseconds from before decoding to the score, of each scored frame."""
        return [sum(result.timings_ms.values()) for result in self.results if result.score is not None]


def run(scorer: Scorer, path: Path, policy: Policy) -> Run:
    """Score a clip, and time it."""
    begun = perf_counter()
    with stream(scorer, path, policy) as running:
        results = [event for event in running if isinstance(event, FrameScore)]
    assert running.end is not None and running.end.sound, running.end
    return Run(results, perf_counter() - begun, running.end)


def decoded_frames_per_second(path: Path) -> float:
    """Frames a second of decoding alone."""
    begun = perf_counter()
    count = sum(isinstance(item, VideoFrame) for item in open_source(path))
    return count / (perf_counter() - begun)


def throughput(scorer: Scorer, clips: dict[str, Path], batch: int, rounds: int) -> list[str]:
    """Table of every frame of every clip; the sizes take turns, the median round counts."""
    policy = Policy(batch=batch)
    runs: dict[str, list[Run]] = {size: [] for size in clips}
    alone: dict[str, list[float]] = {size: [] for size in clips}
    for _ in range(rounds):
        for size, path in clips.items():
            runs[size].append(run(scorer, path, policy))
            alone[size].append(decoded_frames_per_second(path))
    rows = []
    for size, path in clips.items():
        each = runs[size]
        middle = sorted(each, key=lambda one: one.frames_per_second)[len(each) // 2]
        rates = [one.frames_per_second for one in each]
        megabits = path.stat().st_size * 8 * FPS / middle.end.read / 1e6
        stages = [f"{middle.stage_ms(stage):.2f}" for stage in ("decode", "sample", "infer")]
        cells = [f"{middle.frames_per_second:.1f}", f"{min(rates):.1f} to {max(rates):.1f}"]
        rows.append([size, f"{megabits:.1f}", *cells, f"{np.median(alone[size]):.1f}", *stages])
    header = [
        "clip",
        "Mbit/s",
        "frames/s",
        "all rounds",
        "decoding alone",
        "decode ms",
        "sample ms",
        "infer ms",
    ]
    return _table(header, rows)


def cost_without_decoding(scorer: Scorer, clips: dict[str, Path], batch: int, rounds: int) -> list[str]:
    """Table of sampling and scoring frames that are in memory already, and its growth over the sizes."""
    held = {size: list(islice(_frames(path), _HELD)) for size, path in clips.items()}
    spent: dict[str, list[float]] = {size: [] for size in clips}
    for _ in range(rounds):
        for size, frames in held.items():
            preparer = Preparer(scorer)
            begun = perf_counter()
            for first in range(0, len(frames), batch):
                items = [preparer.prepare(frame, 0, begun) for frame in frames[first : first + batch]]
                scorer.backend.infer(np.concatenate([item.views for item in items if item.views is not None]))
            spent[size].append(1e3 * (perf_counter() - begun) / len(frames))
    medians = {size: float(np.median(values)) for size, values in spent.items()}
    least = next(iter(medians.values()))
    rows = [[size, f"{value:.2f}", f"{value / least - 1:+.1%}"] for size, value in medians.items()]
    return _table(["clip", "sample and infer, ms a frame", "over the first"], rows)


def live(scorer: Scorer, path: Path, slowed_by: Sequence[float], limit: float) -> list[str]:
    """Table of live mode at the clip's own pace, with the backend as it is and slowed by so many seconds."""
    rows = []
    for seconds in slowed_by:
        backend = Slowed(scorer.backend, seconds) if seconds else scorer.backend
        other = Scorer(scorer.artefact, backend, scorer.sampling, scorer.views, scorer.max_pixels)
        done = run(other, path, Policy(mode="live", max_latency_ms=limit))
        latencies = done.latencies()
        p50, p95, most = np.percentile(latencies, [50, 95, 100])
        counted = sum(result.dropped_before for result in done.results)
        assert done.end.read == done.end.scored + done.end.flagged + done.end.dropped
        assert counted == done.results[-1].index + 1 - len(done.results)
        rows.append(
            [
                f"+{1e3 * seconds:.0f} ms" if seconds else "as it is",
                *(f"{value:.1f}" for value in (p50, p95, most)),
                f"{sum(value > limit for value in latencies)}",
                f"{done.end.scored} of {done.end.read}",
                f"{done.end.dropped}",
            ]
        )
    header = ["backend", "p50 ms", "p95 ms", "max ms", f"over {limit:.0f} ms", "scored", "dropped"]
    return _table(header, rows)


def peers(path: Path, ours: float) -> list[str]:
    """Table of other metrics on whole frames of the clip, decoding included."""
    rows = [["crossiqa-edge", "crossiqa-edge", f"{ours:.1f}"]]
    for name, peer in opened(METRICS)[0].items():
        frames = _frames(path)
        peer.metric(next(frames).rgb())  # warm-up
        begun = perf_counter()
        count = sum(peer.metric(frame.rgb()) is not None for frame in islice(frames, _PEER_FRAMES))
        rows.append([name, peer.how, f"{count / (perf_counter() - begun):.2f}"])
    return _table(["metric", "package", "frames/s"], rows)


def _frames(path: Path) -> Iterator[VideoFrame]:
    return (item for item in open_source(path) if isinstance(item, VideoFrame))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


@click.command(cls=Program)
@click.option("--photos", default="examples", show_default=True, help="Folder of photographs.")
@click.option(
    "--frames", type=click.IntRange(min=2), default=240, show_default=True, help="Frames of each clip."
)
@click.option("--crf", type=click.IntRange(0, 51), default=20, show_default=True, help="Of libx264.")
@click.option("--model", default="nano", show_default=True, metavar="NAME|FILE")
@click.option("--backend", default=AUTO, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="Of one inference.")
@click.option("--batch", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option(
    "--max-latency-ms",
    type=POSITIVE,
    default=150.0,
    show_default=True,
    help="Of live mode.",
)
@click.option(
    "--keep", type=click.Path(file_okay=False, path_type=Path), help="Keep the clips in this folder."
)
def main(
    photos: str,
    frames: int,
    crf: int,
    model: str,
    backend: str,
    threads: int | None,
    batch: int,
    rounds: int,
    max_latency_ms: float,
    keep: Path | None,
) -> None:
    """Print Markdown tables of the speed of video on this machine."""
    with TemporaryDirectory() as scratch, Scorer.load(model, backend=backend, threads=threads) as scorer:
        folder = keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        pictures = photographs(photos)
        shown = digest([picture.tobytes() for picture in pictures])[:8]  # other photographs, other clips
        clips = {}
        for size, (height, width) in SIZES.items():
            path = folder / f"{size}-{frames}-{crf}-{shown}.mp4"
            if not path.exists():
                encode_moving(path, pictures, height, width, frames=frames, fps=FPS, crf=crf)
            clips[size] = path
        run(scorer, clips["720p"], Policy(batch=batch))  # warm-up
        known, air = facts(), weather()
        machine = known["machine"]
        click.echo(
            f"{scorer.card.identity}, {scorer.backend.describe}, batch {batch}, {machine['cores']} cores of "
            f"{machine['cpu']}, load {air['load_1min']}; {frames} frames a clip, CRF {crf}\n"
        )
        click.echo("\n".join(throughput(scorer, clips, batch, rounds)) + "\n")
        click.echo("\n".join(cost_without_decoding(scorer, clips, batch, 5 * rounds)) + "\n")
        click.echo("\n".join(live(scorer, clips[_LIVE], (0.0, 0.06, 0.2), max_latency_ms)) + "\n")
        ours = run(scorer, clips[_LIVE], Policy(batch=batch)).frames_per_second
        click.echo("\n".join(peers(clips[_LIVE], ours)))


if __name__ == "__main__":
    main()

"""``Scorer``: the one object that most users need, from a picture to its ``Score``."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from crossiqa_edge import weights
from crossiqa_edge.card import ModelCard
from crossiqa_edge.errors import ConfigError, InputError
from crossiqa_edge.imaging.decode import MAX_PIXELS, Source, decode, name_of
from crossiqa_edge.imaging.flags import picture_flags
from crossiqa_edge.imaging.sampling import SAMPLINGS, Frame, Views, sample, views_a_picture
from crossiqa_edge.runtime.artefact import Artefact
from crossiqa_edge.runtime.backend import Backend, Scores
from crossiqa_edge.runtime.select import AUTO, open_backend
from crossiqa_edge.score import Score

if TYPE_CHECKING:
    from crossiqa_edge.imaging.yuv import Planes
    from crossiqa_edge.runtime.device_array import OnDevice
    from crossiqa_edge.video.feed import Feed
    from crossiqa_edge.video.frames import FrameSource
    from crossiqa_edge.video.pipeline import Stream
    from crossiqa_edge.video.policy import Policy
    from crossiqa_edge.video.results import FrameScore

_DECODERS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """The views of one picture, what speaks against scoring it, and the milliseconds that both took."""

    views: Views
    flags: tuple[str, ...]
    timings: dict[str, float]


class Scorer:
    """An open model that scores pictures and videos. Make one with ``Scorer.load``.

    Safe to use from several threads at once, until it is closed. Only ``push`` remembers anything.

    Attributes:
        artefact: the model file.
        backend: what runs it; ``backend.reason`` says why this one.
        sampling: ``fragments`` or ``crops``.
        views: how many views of a picture are scored; its score is their mean.
        max_pixels: larger pictures are refused before they are decoded.
    """

    def __init__(
        self, artefact: Artefact, backend: Backend, sampling: str, views: int, max_pixels: int
    ) -> None:
        self.artefact = artefact
        self.backend = backend
        self.sampling = sampling
        self.views = views
        self.max_pixels = max_pixels

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str] = "nano",
        *,
        backend: str = AUTO,
        sampling: str | None = None,
        threads: int | None = None,
        views: int | None = None,
        max_pixels: int = MAX_PIXELS,
        work: int | None = None,
    ) -> Scorer:
        """Open a shipped model by name, or any model file by path.

        Args:
            model: a name that ``crossiqa models`` lists, or the path of an ONNX artefact.
            backend: ``auto`` or a key of ``crossiqa_edge.runtime.select.BACKENDS``.
            sampling: ``fragments`` or ``crops``; None takes the model card's.
            threads: CPU threads of one inference, 1 to 1024; None leaves it to the backend.
            views: how many views of a picture are scored, at least 1; None is 1 of fragments, 5 of crops.
            max_pixels: the most pixels that a picture's header may announce.
            work: pictures and frames that will be scored, as far as is known; ``auto`` chooses with it in
                mind.

        Raises:
            ArtefactError: no such model, or a file that is damaged, hostile or without a card.
            ConfigError: unknown backend or sampling, bad ``threads`` or ``views``.
            BackendError: the backend cannot run this model on this machine.
        """
        views_a_picture(SAMPLINGS[0] if sampling is None else sampling, views)  # before a file is opened
        artefact = Artefact.open(locate(model))
        sampling = sampling or artefact.card.sampling
        count = views_a_picture(sampling, views)
        ahead = None if work is None else work * count
        opened = open_backend(artefact, backend, threads=threads, work=ahead)
        return cls(artefact, opened, sampling, count, max_pixels)

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self.artefact.card

    def score(self, source: Source) -> Score:
        """Score one picture: a path, encoded bytes, a PIL image, or a uint8 array (see ``decode``).

        Raises:
            InputError: the picture cannot be read or is too small.
            BackendError: the runtime failed.
        """
        return self._scores([self._prepare(source)])[0]

    def score_many(self, sources: Iterable[Source], batch: int = 8) -> Iterator[Score | InputError]:
        """Score pictures, several in one inference; one result a source, in order.

        Pictures are decoded ahead in a few threads, at most two batches ahead of the results. A picture
        that cannot be scored gives its InputError as result, and the others go on.

        Args:
            sources: pictures as ``score`` takes them; read lazily.
            batch: pictures in one inference, at least 1.

        Raises:
            ConfigError: bad ``batch``.
            BackendError: the runtime failed.
        """
        if batch < 1:
            raise ConfigError(f"batch must be at least 1, not {batch}")
        return self._results(self._prepared(sources, ahead=2 * batch), batch)

    def stream(self, source: str | os.PathLike[str] | FrameSource, policy: Policy | None = None) -> Stream:
        """Score a video as it comes: an iterator of ``FrameScore`` and ``GapEvent``, in bounded memory.

        The arguments and errors are those of ``crossiqa_edge.video.pipeline.stream``.
        """
        from crossiqa_edge.video.pipeline import stream

        return stream(self, source, policy)

    def push(self, picture: Frame | Planes | OnDevice, pts: float) -> FrameScore:
        """Score the next frame of a stream that somebody else captures; see ``crossiqa_edge.video.feed``.

        One scorer has one such stream. For several cameras, make a ``Feed(scorer)`` for each.
        """
        return self._feed.push(picture, pts)

    @cached_property
    def _feed(self) -> Feed:
        from crossiqa_edge.video.feed import Feed

        return Feed(self)

    def close(self) -> None:
        """Give back what the model holds."""
        if "_feed" in self.__dict__:  # only where something was pushed
            self._feed.close()
        self.backend.close()

    def __enter__(self) -> Scorer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _prepare(self, source: Source) -> _Prepared:
        start = perf_counter()
        frame = decode(source, max_pixels=self.max_pixels)
        decoded = perf_counter()
        try:
            views = sample(frame, self.sampling, size=self.card.view_size, views=self.views)
        except InputError as error:
            raise InputError(f"{name_of(source)}: {error}") from error
        flags = picture_flags(frame.shape[:2], views)
        timings = {"decode": 1e3 * (decoded - start), "sample": 1e3 * (perf_counter() - decoded)}
        return _Prepared(views, flags, timings)

    def _attempt(self, source: Source) -> _Prepared | InputError:
        try:
            return self._prepare(source)
        except InputError as error:
            return error

    def _prepared(self, sources: Iterable[Source], ahead: int) -> Iterator[_Prepared | InputError]:
        """Results of ``_attempt`` in order, with at most ``ahead`` sources taken before they are wanted.

        Whole frames live only inside the worker threads; what waits here are views.
        """
        pool = ThreadPoolExecutor(_DECODERS, thread_name_prefix="crossiqa-decode")
        waiting: deque[Future[_Prepared | InputError]] = deque()
        try:
            for source in sources:
                waiting.append(pool.submit(self._attempt, source))
                if len(waiting) >= ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # also when the caller stops early, or Ctrl-C comes
            pool.shutdown(wait=False, cancel_futures=True)

    def _results(
        self, prepared: Iterator[_Prepared | InputError], batch: int
    ) -> Iterator[Score | InputError]:
        while group := list(islice(prepared, batch)):
            good = [item for item in group if isinstance(item, _Prepared)]
            scores = iter(self._scores(good) if good else [])
            for item in group:
                yield next(scores) if isinstance(item, _Prepared) else item

    def _scores(self, pictures: list[_Prepared]) -> list[Score]:
        """One inference over the views of all ``pictures``; its time is divided over them by views."""
        views = np.concatenate([picture.views for picture in pictures])
        start = perf_counter()
        raw = self.backend.infer(views)
        per_view = 1e3 * (perf_counter() - start) / len(views)
        ends = np.cumsum([len(picture.views) for picture in pictures])
        return [
            self.pool(part, {**picture.timings, "infer": per_view * len(part)}, picture.flags)
            for picture, part in zip(pictures, np.split(raw, ends[:-1]), strict=True)
        ]

    def pool(self, raw: Scores, timings: Mapping[str, float], flags: tuple[str, ...] = ()) -> Score:
        """The score of one picture out of those of its views, float32 (V,)."""
        value = float(raw.mean(dtype=np.float64))
        return Score(
            value=value,
            interval=self.card.interval(value),
            raw=tuple(map(float, raw)),
            model=self.card.identity,
            backend=self.backend.describe,
            timings=timings,
            flags=flags,
            percentile=self.card.percentile(value),
            reference=self.card.reference_set,
        )


def locate(model: str | os.PathLike[str]) -> Path:
    """The path of a model file; a bare word is a shipped model's name before it is a file's."""
    path = Path(model)
    if not isinstance(model, str) or model != path.name or path.suffix:
        return path
    return weights.find(model) if model in weights.available() or not path.exists() else path

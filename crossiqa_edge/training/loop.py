"""The training loop, shared by pre-training and fine-tuning."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler
from torch.utils.tensorboard import SummaryWriter

from crossiqa_edge.errors import ConfigError, OutputError
from crossiqa_edge.training.distributed import World
from crossiqa_edge.training.optimisation import (
    autocast,
    clip_gradients,
    learning_rate,
    resolve_precision,
    set_learning_rate,
    update_average,
)
from crossiqa_edge.training.progress import StepProgress
from crossiqa_edge.training.recipe import Recipe
from crossiqa_edge.training.resume import CHECKPOINT, restore_state, save_state

Losses = Mapping[str, Tensor]
T = TypeVar("T")


@dataclass(frozen=True)
class Task:
    """What is trained, on what.

    Attributes:
        module: takes the tensors of a batch and returns losses by name; ``total`` is minimised.
        optimiser: over the module's parameters.
        items: pure function of the index: item i is the same in every run, process and worker.
        report: called with the averaged module and the step at the end of each epoch, in the leading
            process; returns figures to be logged.
        views_per_item: for the images/s that are shown.
        facts: what decides the run beside its recipe, by names for a person: the start's weights, a digest of
            what is trained on. A state that was begun with others is refused.
    """

    module: nn.Module
    optimiser: torch.optim.Optimizer
    items: Dataset[tuple[Tensor, ...]]
    report: Callable[[nn.Module, int], Mapping[str, float]]
    views_per_item: int
    facts: Mapping[str, str]


class Observer(Protocol):
    """Sees every step; tests use it to record losses or to interrupt."""

    def __call__(self, step: int, losses: Mapping[str, float]) -> None: ...


class StepSampler(Sampler[list[int]]):
    """Batches of item indices for this process from step ``first`` on: step s of a run has the items
    s * batch .. (s + 1) * batch - 1, whatever the number of processes."""

    def __init__(self, first: int, recipe: Recipe, world: World) -> None:
        if recipe.batch % world.size:
            raise ConfigError(f"batch {recipe.batch} does not divide among {world.size} processes")
        self.steps = range(first, recipe.steps)
        self.batch = recipe.batch
        self.share = recipe.batch // world.size
        self.offset = world.rank * self.share

    def __iter__(self) -> Iterator[list[int]]:
        for step in self.steps:
            start = step * self.batch + self.offset
            yield list(range(start, start + self.share))

    def __len__(self) -> int:
        return len(self.steps)


def train(
    task: Task,
    recipe: Recipe,
    out: str | os.PathLike[str],
    world: World,
    *,
    workers: int = 1,
    checkpoint_minutes: float = 3.0,
    observer: Observer | None = None,
) -> nn.Module:
    """Run ``recipe`` to its end, from the state in ``out`` if there is one.

    Ctrl-C and SIGTERM write the state before they end the run; the same command then goes on exactly
    where it stopped.

    Returns:
        The averaged module.

    Raises:
        ConfigError: the state in ``out`` is of another recipe, or was begun with other facts.
    """
    out = Path(out)
    module, optimiser, device = task.module.to(world.device), task.optimiser, world.device
    average = deepcopy(module).requires_grad_(False).eval()
    done = restore_state(out, recipe, task.facts, module, average, optimiser)
    dtype = resolve_precision(recipe.precision, device)
    wrapped = world.wrap(module)

    def keep(step: int) -> None:
        if world.leads:
            save_state(out, step, recipe, task.facts, module, average, optimiser)

    with ExitStack() as stack:
        events = stack.enter_context(SummaryWriter(str(out / "events"))) if world.leads else None
        progress = stack.enter_context(StepProgress(recipe, done, task.views_per_item, shown=world.leads))
        stop = stack.enter_context(_stop_requests())
        step, saved_at = done, time.monotonic()
        for batch in _until_stopped(_loader(task.items, StepSampler(done, recipe, world), workers), stop):
            set_learning_rate(optimiser, learning_rate(step, recipe))
            with autocast(dtype, device):
                losses: Losses = wrapped(*(tensor.to(device, non_blocking=True) for tensor in batch))
            optimiser.zero_grad(set_to_none=True)
            losses["total"].backward()  # type: ignore[no-untyped-call]
            norm = clip_gradients(module, recipe.clip_norm)
            optimiser.step()
            update_average(average, module, recipe.ema_decay, step)
            step += 1

            figures = {name: world.mean(float(loss.detach())) for name, loss in losses.items()}
            if observer is not None:
                observer(step, figures)
            progress.advance(figures)
            if events and step % 10 == 0:
                _log(events, "train", {**figures, "gradient_norm": float(norm)}, step)
            epoch_ends = step % recipe.steps_per_epoch == 0 or step == recipe.steps
            if epoch_ends and events:
                _log(events, "validation", progress.note(task.report(average, step), step), step)
            if epoch_ends or time.monotonic() - saved_at > 60.0 * checkpoint_minutes:
                keep(step)
                saved_at = time.monotonic()
        if stop.is_set():
            keep(step)
            raise KeyboardInterrupt
    return average


def _until_stopped(batches: Iterable[T], stop: threading.Event) -> Iterator[T]:
    """``batches``, until a stop is asked for."""
    for batch in batches:
        yield batch
        if stop.is_set():
            return


def _loader(items: Dataset[Any], sampler: StepSampler, workers: int) -> DataLoader[Any]:
    return DataLoader(
        items,
        batch_sampler=sampler,
        num_workers=workers,
        worker_init_fn=_quiet_worker,
        prefetch_factor=4 if workers else None,
    )


def _quiet_worker(_: int) -> None:
    """One thread a worker; Ctrl-C and SIGTERM are the parent's affair.

    Terminals and schedulers send them to all processes, and PyTorch makes the end of a worker an error in
    the parent, wherever that is just then. A worker ends when the parent tells it or is gone.
    """
    torch.set_num_threads(1)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def _stop_requests() -> Iterator[threading.Event]:
    """Set by Ctrl-C, and by the SIGTERM that schedulers send: the run ends after the step in hand, since a
    state caught within a step would not resume exactly. A second Ctrl-C ends it at once."""
    requested = threading.Event()

    def request(number: int, frame: object) -> None:
        if requested.is_set():
            raise KeyboardInterrupt
        requested.set()

    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield requested
        return
    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield requested
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _log(events: SummaryWriter, group: str, figures: Mapping[str, float], step: int) -> None:
    for name, value in figures.items():
        events.add_scalar(f"{group}/{name}", value, step)


def prepare_run(out: str | os.PathLike[str], *, restart: bool) -> Path:
    """Make the run's folder; with ``restart`` forget the state in it.

    Raises:
        OutputError: the folder cannot be made.
    """
    directory = Path(out)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if restart:
            (directory / CHECKPOINT).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{directory}: cannot make this folder ({error.strerror})") from error
    return directory

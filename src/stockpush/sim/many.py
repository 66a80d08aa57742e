"""Many seeds on every core: each in its own world, a few processes beside each other."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from dataclasses import dataclass
from itertools import islice

from stockpush.sim.plan import Plan
from stockpush.sim.report import Report
from stockpush.sim.run import simulate


@dataclass(frozen=True, slots=True)
class Job:
    """One seed, run by each of the plans in turn: what is compared is begun and ended together."""

    seed: int
    plans: tuple[Plan, ...]

    def run(self) -> tuple[Report, ...]:
        """Run it, in whatever process this is; one report for each plan."""
        return tuple(simulate(self.seed, plan) for plan in self.plans)


def cores() -> int:
    """Return how many seeds may run beside each other."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_all(
    jobs: Sequence[Job],
    *,
    processes: int,
    done: Callable[[Job, tuple[Report, ...]], None],
    enough: Callable[[], bool] = lambda: False,
) -> tuple[Job, ...]:
    """Run every job; tell `done` of each as it ends, and begin no more once there is `enough`.

    Return the jobs that were not begun. One that cannot be run at all is a report with one
    violation for each of its plans: nothing is passed over.
    """
    begun = 0

    def next_jobs(most: int) -> Iterator[Job]:
        nonlocal begun
        for job in islice(jobs, begun, begun + most):
            if enough():
                return
            begun += 1
            yield job

    if processes == 1:
        for job in next_jobs(len(jobs)):
            done(job, job.run())
    else:
        _run_beside(next_jobs, processes, done)
    return tuple(jobs[begun:])


def _run_beside(
    next_jobs: Callable[[int], Iterator[Job]],
    processes: int,
    done: Callable[[Job, tuple[Report, ...]], None],
) -> None:
    # Started anew, not copied: a copy of a process with an event loop is no place to begin.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_deaf) as pool:
        try:
            running: dict[Future[tuple[Report, ...]], Job] = {}
            while True:
                for job in next_jobs(processes - len(running)):
                    try:
                        running[pool.submit(job.run)] = job
                    except BrokenExecutor as error:
                        done(job, _broken(job, error))
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    job = running.pop(future)
                    broke = future.exception()
                    done(job, future.result() if broke is None else _broken(job, broke))
        except BaseException:
            # Nobody waits for what is under way, perhaps for minutes.
            pool.shutdown(wait=False, cancel_futures=True)
            for each in multiprocessing.active_children():
                each.terminate()
            raise


def _deaf() -> None:
    """Leave an interrupt to the process that started this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _broken(job: Job, error: BaseException) -> tuple[Report, ...]:
    told = f"the run broke: {type(error).__name__}: {error}"
    return tuple(Report(job.seed, violations=[told]) for _ in job.plans)

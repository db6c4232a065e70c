"""What the terminal shows of a job under way: a bar where there is a terminal, lines elsewhere."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from stemyard.client import Job

_LINE_EVERY = 0.1


class JobDisplay(Protocol):
    """Is told of the job's every state."""

    def show(self, job: Job) -> None: ...


class _Bar:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("sent", total=1.0)

    def show(self, job: Job) -> None:
        self._progress.update(self._task, completed=job.progress, description=_words(job))


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: tuple[str, int] | None = None

    def show(self, job: Job) -> None:
        step = (_words(job), int(job.progress / _LINE_EVERY))
        if step != self._shown:
            self._shown = step
            self._console.print(f"{step[0]} {job.progress:.0%}")


@contextmanager
def job_display(console: Console) -> Generator[JobDisplay]:
    """Chosen by whether someone watches."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(bar_width=40),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield _Bar(progress)


def _words(job: Job) -> str:
    return job.stage if job.status == "running" and job.stage else job.status

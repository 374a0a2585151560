"""Work in a fixed number of threads that never keep the process alive: Ctrl-C must not wait for a server."""

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def run_in_threads(
    work: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    workers: int,
    on_wait: Callable[[], None] = lambda: None,
    wait_seconds: float | None = None,
) -> Generator[tuple[Task, Result], None, None]:
    """Do all tasks, `workers` at a time, and yield each with its result, in the order in which they end.

    A `concurrent.futures` pool would join its threads at exit, for minutes where a server hangs; these are daemons.
    An exception of `work` is raised here, once its task's turn comes; the generator's end stops further tasks.

    Args:
        on_wait: called when nothing ended for `wait_seconds`.
    """
    waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
    total = 0
    for task in tasks:
        waiting.put(task)
        total += 1
    ended: queue.SimpleQueue[tuple[Task, Result | None, BaseException | None]] = queue.SimpleQueue()
    stop = threading.Event()

    def drain() -> None:
        while not stop.is_set():
            try:
                task = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                ended.put((task, work(task), None))
            except BaseException as err:  # handed to the thread that waits for it
                ended.put((task, None, err))

    for number in range(min(workers, total)):
        threading.Thread(target=drain, name=f"{work.__name__}-{number}", daemon=True).start()
    try:
        for _ in range(total):
            while True:
                try:
                    task, result, error = ended.get(timeout=wait_seconds)
                    break
                except queue.Empty:
                    on_wait()
            if error is not None:
                raise error
            yield task, result  # type: ignore[misc]  # a result is there where no error is
    finally:
        stop.set()

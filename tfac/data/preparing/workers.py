"""Work spread over processes of this machine; `beam`, beside it, spreads it over a cluster."""

import abc
import dataclasses
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from tfac.errors import DataError
from tfac.notices import without_notices


class Workers(abc.ABC):
    """Those who do pieces of work that each leave a file, whole or not at all."""

    @abc.abstractmethod
    def for_each(
        self,
        work: Callable[..., None],
        items: Sequence[Any],
        *arguments: Any,
        is_done: Callable[[Any], bool],
    ) -> Iterator[int]:
        """Calls `work(item, *arguments)` for each item, in any order.

        Args:
            work: a function of a module. It may be called twice for an item.
            items: what pickle can carry, as the arguments are.
            *arguments: given to every call.
            is_done: tells whether an item's file is there, where workers do not say so.

        Yields:
            The number of each item once it is done.

        Raises:
            DataError: a worker ended before its work did.
        """


@dataclasses.dataclass(frozen=True)
class Processes(Workers):
    """Processes of this machine; one alone is the process that asks.

    They are started afresh, so a script that uses more than one needs the guard
    `if __name__ == "__main__":`.

    Attributes:
        count: how many, at least 1; by default one a core.
    """

    count: int = dataclasses.field(default_factory=lambda: os.cpu_count() or 1)

    def for_each(
        self,
        work: Callable[..., None],
        items: Sequence[Any],
        *arguments: Any,
        is_done: Callable[[Any], bool] | None = None,
    ) -> Iterator[int]:
        """As `Workers.for_each`; what `work` raises is raised here."""
        count = min(self.count, len(items))
        if count <= 1:
            for number, item in enumerate(items):
                work(item, *arguments)
                yield number
            return
        # A fresh process ("spawn") inherits neither TensorFlow's threads nor its memory.
        pool = ProcessPoolExecutor(
            count,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_process,
            initargs=(pickle.dumps((work, arguments)),),
        )
        try:
            futures = {pool.submit(_work, item): number for number, item in enumerate(items)}
            while futures:
                for future in wait(futures, return_when=FIRST_COMPLETED).done:
                    future.result()
                    yield futures.pop(future)
        except BrokenProcessPool as error:
            raise DataError(
                "a worker process died (is there enough memory for --workers of them?); what is "
                "finished is kept, the same command goes on from there"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


_process_work: Callable[..., None]
_process_arguments: tuple


def _start_process(pickled: bytes) -> None:
    global _process_work, _process_arguments
    with without_notices():
        _process_work, _process_arguments = pickle.loads(pickled)
        if "tensorflow" in sys.modules:
            sys.modules["tensorflow"].config.list_physical_devices()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def _work(item: Any) -> None:
    _process_work(item, *_process_arguments)

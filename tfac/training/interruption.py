"""A stop that loses nothing: SIGTERM and Ctrl-C end the loop between two steps."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterable, Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):
    """The run was asked to stop, and did so between two steps.

    Attributes:
        signal_number: the signal that asked.
    """

    def __init__(self, signal_number: int):
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number


class Interruption:
    """Whether the run was asked to stop, and by which signal.

    Args:
        agree: from this process's signal number, 0 for none, to that of the whole run, so that
            several workers stop at the same step.
    """

    def __init__(self, agree: Callable[[int], int] = int):
        self._signal_number = 0
        self._agree = agree

    def request(self, signal_number: int = signal.SIGTERM) -> None:
        """Asks for a stop."""
        self._signal_number = signal_number

    def stop_if_requested(self) -> None:
        """Raises `Interrupted` if a stop was asked for."""
        signal_number = self._agree(self._signal_number)
        if signal_number:
            raise Interrupted(signal_number)

    def watch(self, items: Iterable) -> Iterator:
        """Yields the items of a long pass; stops the pass when a stop is asked for."""
        for item in items:
            self.stop_if_requested()
            yield item


@contextlib.contextmanager
def stop_on_signals(agree: Callable[[int], int] = int) -> Iterator[Interruption]:
    """Turns SIGINT and SIGTERM into a request to stop while the block runs.

    A second signal takes effect at once, as it would without the block. Outside the main thread,
    where Python delivers no signals, nothing is changed. `agree` is that of `Interruption`.
    """
    interruption = Interruption(agree)
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def handle(signal_number, frame):
        interruption.request(signal_number)
        _restore(before)

    for number in SIGNALS:
        signal.signal(number, handle)
    try:
        yield interruption
    finally:
        _restore(before)


def _restore(handlers) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)

import signal

import pytest

from tfac.training.interruption import Interrupted, stop_on_signals


def test_a_signal_asks_for_a_stop_between_two_items():
    seen = []
    with stop_on_signals() as interruption, pytest.raises(Interrupted, match="SIGTERM") as caught:
        interruption.stop_if_requested()
        for item in interruption.watch(range(5)):
            seen.append(item)
            if item == 2:
                signal.raise_signal(signal.SIGTERM)
    assert seen == [0, 1, 2]
    assert caught.value.signal_number == signal.SIGTERM


def test_a_second_interrupt_takes_effect_at_once():
    # A shell starts background processes with SIGINT ignored; the test wants Python's handler.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with stop_on_signals():
            signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_handlers_are_restored():
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before

import io
import sys

import pytest

from tfac import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_a_log_has_lines_now_and_then_and_a_terminal_a_bar(monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream())
    with progress.progress(total=1000, desc="reading", unit=" pictures") as bar:
        for _ in range(1000):
            bar.update()
    text = sys.stderr.getvalue()
    assert "1000/1000" in text
    if stream is Terminal:
        assert "\r" in text
    else:
        first, last = text.splitlines()
        assert first.startswith("reading:   0% 0/1000") and last.startswith("reading: 100%")
        assert "\r" not in text


def test_a_line_is_written_once_its_time_has_come(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr(progress, "_SECONDS_A_LINE", 0)
    list(progress.progress(range(3)))
    assert len(sys.stderr.getvalue().splitlines()) >= 4

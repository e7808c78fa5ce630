import os
import signal

import pytest

from tfac.data.preparing.workers import Processes
from tfac.errors import DataError


def write_name(item, folder):
    (folder / item).write_text(str(os.getpid()))


def fail(item):
    raise DataError(f"{item} is broken")


def die(item):
    os.kill(os.getpid(), signal.SIGKILL)


ITEMS = ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("count", [1, 3])
def test_every_item_is_worked_on_once(tmp_path, count):
    done = Processes(count).for_each(write_name, ITEMS, tmp_path)
    assert sorted(done) == [0, 1, 2, 3, 4]
    assert sorted(path.name for path in tmp_path.iterdir()) == ITEMS
    here = {path.read_text() == str(os.getpid()) for path in tmp_path.iterdir()}
    assert here == {count == 1}  # one alone is the process that asks


def test_nothing_to_do_is_done():
    assert list(Processes(2).for_each(fail, [])) == []


@pytest.mark.parametrize("count", [1, 2])
def test_an_error_of_the_work_is_raised(count):
    with pytest.raises(DataError, match="is broken"):
        list(Processes(count).for_each(fail, ITEMS))


def test_a_process_that_dies_is_an_error():
    with pytest.raises(DataError, match="a worker process died"):
        list(Processes(2).for_each(die, ITEMS))

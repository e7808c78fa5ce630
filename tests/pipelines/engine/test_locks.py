import multiprocessing

from pipelines.engine.locks import Locks


def _hold(path, name, ready, done):
    with Locks(path).hold(name):
        ready.set()
        done.wait(60)


def _start_holder(path, name):
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(path, name, ready, done))
    process.start()
    assert ready.wait(60)
    return process, done


def test_lock_keeps_another_process_out_until_it_ends(tmp_path):
    path = tmp_path / ".locks"
    process, done = _start_holder(path, "a")
    locks, waits = Locks(path), []
    with locks.hold_if_free("a") as taken:
        assert not taken
    with locks.hold_if_free("b") as taken:
        assert taken
    done_later = [done.set]
    with locks.hold("a", on_wait=lambda: waits.append(done_later.pop()())):
        assert len(waits) == 1
    process.join()
    locks.close()
    assert path.stat().st_size == 0


def test_lock_of_a_killed_process_is_free(tmp_path):
    process, _ = _start_holder(tmp_path / ".locks", "a")
    process.kill()
    process.join()
    with Locks(tmp_path / ".locks").hold_if_free("a") as taken:
        assert taken

import multiprocessing

from pipelines.engine.locks import Locks


def _hold(folder, name, ready, done):
    with Locks(folder).hold(name):
        ready.set()
        done.wait(60)


def _start_holder(folder, name):
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(folder, name, ready, done))
    process.start()
    assert ready.wait(60)
    return process, done


def test_lock_keeps_another_process_out_until_it_ends(tmp_path):
    process, done = _start_holder(tmp_path, "a")
    locks, waits = Locks(tmp_path), []
    assert locks.take("a") is None
    with locks.take("b"):
        pass
    with locks.hold("a", on_wait=lambda: waits.append(done.set())):
        assert len(waits) == 1
    process.join()
    assert {path.stat().st_size for path in tmp_path.iterdir()} == {0}


def test_lock_of_a_killed_process_is_free(tmp_path):
    process, _ = _start_holder(tmp_path, "a")
    process.kill()
    process.join()
    with Locks(tmp_path).take("a"):
        pass

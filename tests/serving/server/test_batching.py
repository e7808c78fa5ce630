import asyncio
import contextlib

import numpy as np
import pytest

from tests.serving.server.running_server import FakeEngine
from tfac.serving.server.batching import Batcher
from tfac.serving.server.configuration import ServerOptions
from tfac.serving.server.metrics import Metrics
from tfac.serving.server.models import LoadedVersion
from tfac.serving.server.refusals import Refusal


@pytest.fixture
def engine():
    return FakeEngine()


@pytest.fixture
def version(engine):
    return LoadedVersion("faces", 1, engine)


@contextlib.contextmanager
def batcher(**options):
    batcher = Batcher(ServerOptions(**({"max_batch_size": 4} | options)), Metrics())
    try:
        yield batcher
    finally:
        batcher.close()


def rows(*values: bytes) -> dict[str, np.ndarray]:
    array = np.empty(len(values), object)
    array[:] = values
    return {"image_bytes": array}


def lengths(outputs) -> list[float]:
    return outputs["scores"][:, 0].tolist()


async def started(engine: FakeEngine) -> None:
    while not engine.started.is_set():
        await asyncio.sleep(0.001)


async def held(engine, batcher, version):
    """Occupies the worker; returns the task of the request that does."""
    engine.hold.clear()
    task = asyncio.create_task(batcher.run(version, "serving_default", rows(b"x")))
    await started(engine)
    return task


def test_requests_that_wait_run_as_one_batch_and_get_their_own_rows(engine, version):
    async def main():
        with batcher() as batches:
            first = await held(engine, batches, version)
            waiting = [
                batches.run(version, "serving_default", rows(*[b"a" * n] * n)) for n in (1, 2, 1)
            ]
            answers = asyncio.gather(*waiting)
            await asyncio.sleep(0.01)
            engine.hold.set()
            assert [lengths(answer) for answer in await answers] == [[1.0], [2.0, 2.0], [1.0]]
            assert lengths(await first) == [1.0]
        assert engine.batches == [1, 4]

    asyncio.run(main())


def test_request_that_does_not_fit_starts_the_next_batch(engine, version):
    async def main():
        with batcher() as batches:
            await held(engine, batches, version)
            sizes = (3, 2, 1)
            waiting = [
                asyncio.create_task(
                    batches.run(version, "serving_default", rows(*[b"a" * size] * size))
                )
                for size in sizes
            ]
            await asyncio.sleep(0.01)
            engine.hold.set()
            for size, task in zip(sizes, waiting, strict=True):
                assert lengths(await task) == [size] * size
        assert engine.batches == [1, 3, 3]

    asyncio.run(main())


def test_only_requests_of_one_version_signature_and_shape_join(engine, version):
    other = LoadedVersion("faces", 2, FakeEngine(bias=100))

    def pictures(height):
        return {"images": np.full((1, height, 5, 3), height, np.uint8)}

    async def main():
        with batcher() as batches:
            await held(engine, batches, version)
            answers = asyncio.gather(
                batches.run(version, "serving_default", rows(b"a")),
                batches.run(version, "images", pictures(2)),
                batches.run(version, "images", pictures(3)),
                batches.run(version, "images", pictures(2)),
                batches.run(other, "serving_default", rows(b"aa")),
            )
            await asyncio.sleep(0.01)
            engine.hold.set()
            assert [lengths(answer)[0] for answer in await answers] == [1, 2, 3, 2, 102]
        assert sorted(engine.batches) == [1, 1, 1, 2] and other.engine.batches == [1]

    asyncio.run(main())


def test_full_queue_answers_busy_and_recovers(engine, version):
    async def main():
        with batcher(max_enqueued_batches=2) as batches:
            await held(engine, batches, version)
            waiting = [
                asyncio.create_task(batches.run(version, "serving_default", rows(*[b"a"] * 4)))
                for _ in range(2)
            ]
            await asyncio.sleep(0.01)
            with pytest.raises(Refusal, match="queue to which .* is full") as refused:
                await batches.run(version, "serving_default", rows(b"a"))
            assert refused.value.http_status == 503
            engine.hold.set()
            await asyncio.gather(*waiting)
            assert lengths(await batches.run(version, "serving_default", rows(b"a"))) == [1.0]

    asyncio.run(main())


@pytest.mark.parametrize(
    "inputs, message",
    [
        (rows(*[b"a"] * 5), "Task size 5 is larger than maximum input batch size 4"),
        (rows(), "at least one row"),
    ],
)
def test_too_many_rows_and_none_are_refused(engine, version, inputs, message):
    async def main():
        with batcher() as batches, pytest.raises(Refusal, match=message) as refused:
            await batches.run(version, "serving_default", inputs)
        assert refused.value.http_status == 400

    asyncio.run(main())
    assert not engine.batches


def test_inputs_of_different_lengths_are_refused(version):
    async def main():
        inputs = {"a_bytes": rows(b"a", b"b")["image_bytes"], "n": np.array([1])}
        with batcher() as batches, pytest.raises(Refusal, match="equal 0th-dimension"):
            await batches.run(version, "two", inputs)

    asyncio.run(main())


def test_request_at_fault_fails_alone(engine, version):
    async def main():
        with batcher() as batches:
            await held(engine, batches, version)
            answers = asyncio.gather(
                *[
                    batches.run(version, "serving_default", rows(value))
                    for value in (b"good", b"bad", b"fine", b"crash")
                ],
                return_exceptions=True,
            )
            await asyncio.sleep(0.01)
            engine.hold.set()
            good, bad, fine, crash = await answers
        assert (lengths(good), lengths(fine)) == ([4.0], [4.0])
        assert (bad.http_status, bad.message) == (400, "expected no bad row")
        assert crash.http_status == 500 and "ZeroDivision" not in crash.message

    asyncio.run(main())


def test_signature_of_a_fixed_length_does_not_join(engine, version):
    async def main():
        with batcher() as batches:
            await held(engine, batches, version)
            values = [{"x": rows(text)["image_bytes"]} for text in (b"a", b"b")]
            answers = asyncio.gather(*[batches.run(version, "fixed", value) for value in values])
            await asyncio.sleep(0.01)
            engine.hold.set()
            assert [answer["x"].tolist() for answer in await answers] == [[b"a"], [b"b"]]
        assert engine.batches == [1, 1, 1]

    asyncio.run(main())


def test_request_whose_client_gave_up_does_not_run(engine, version):
    async def main():
        with batcher() as batches:
            first = await held(engine, batches, version)
            gone = asyncio.create_task(batches.run(version, "serving_default", rows(b"gone")))
            await asyncio.sleep(0.01)
            gone.cancel()
            await asyncio.sleep(0.01)
            engine.hold.set()
            await first
            assert lengths(await batches.run(version, "serving_default", rows(b"a"))) == [1.0]
        assert engine.batches == [1, 1]

    asyncio.run(main())


def test_idle_engine_waits_for_the_batch_to_fill(engine, version):
    async def main():
        with batcher(batch_timeout_micros=2_000_000) as batches:
            answers = [
                asyncio.create_task(batches.run(version, "serving_default", rows(b"a")))
                for _ in range(3)
            ]
            await asyncio.sleep(0.02)
            assert not engine.batches
            await asyncio.gather(*answers, batches.run(version, "serving_default", rows(b"a")))
        assert engine.batches == [4]

    asyncio.run(main())


def test_batch_that_is_not_filled_starts_after_the_timeout(engine, version):
    async def main():
        with batcher(batch_timeout_micros=20_000) as batches:
            await asyncio.gather(
                *[batches.run(version, "serving_default", rows(b"a")) for _ in range(2)]
            )
            await batches.run(version, "serving_default", rows(b"a"))
        assert engine.batches == [2, 1]

    asyncio.run(main())

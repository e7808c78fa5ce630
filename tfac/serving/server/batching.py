"""Requests that fit together run as one batch."""

import asyncio
import collections
import concurrent.futures
import dataclasses
import logging
import time
from collections.abc import Hashable, Mapping, Sequence

import grpc
import numpy as np

from tfac.errors import DataError
from tfac.serving.server.configuration import ServerOptions
from tfac.serving.server.metrics import Metrics
from tfac.serving.server.models import LoadedVersion
from tfac.serving.server.refusals import Refusal, busy, invalid

Arrays = Mapping[str, np.ndarray]

_LOGGER = logging.getLogger(__name__)


@dataclasses.dataclass(eq=False)
class _Request:
    inputs: Arrays
    num_rows: int
    answer: asyncio.Future
    start: float


@dataclasses.dataclass(eq=False)
class _Batch:
    key: Hashable
    version: LoadedVersion
    signature: str
    start: float
    requests: list[_Request] = dataclasses.field(default_factory=list)
    num_rows: int = 0

    def add(self, request: _Request) -> None:
        self.requests.append(request)
        self.num_rows += request.num_rows


class Batcher:
    """Joins requests of one model, version, signature and shape, and runs them in worker threads.

    A batch starts when it is full, or when its first request has waited `batch_timeout_micros`, and
    a worker is free. All methods but the workers' belong to one event loop.

    Args:
        options: of the server.
        metrics: where batches are counted.
    """

    def __init__(self, options: ServerOptions, metrics: Metrics):
        self._options = options
        self._metrics = metrics
        self._timeout = options.batch_timeout_micros / 1e6
        self._waiting: collections.deque[_Batch] = collections.deque()
        self._open: dict[Hashable, _Batch] = {}  # the one of each key that may still grow
        self._num_running = 0
        self._timer: asyncio.TimerHandle | None = None
        self._workers = concurrent.futures.ThreadPoolExecutor(
            options.num_batch_threads, thread_name_prefix="batch"
        )

    async def run(self, version: LoadedVersion, signature: str, inputs: Arrays) -> Arrays:
        """Returns the outputs for `inputs`, the rows of this request alone.

        Args:
            version: what to run; to be kept loaded by the caller.
            signature: one of the version's.
            inputs: as the signature takes them.

        Raises:
            Refusal: the request has no rows or too many, the queue is full, or the model failed.
        """
        num_rows = self._num_rows(version, signature, inputs)
        start = time.perf_counter()
        answer = asyncio.get_running_loop().create_future()
        request = _Request(inputs, num_rows, answer, start)
        self._batch_for(request, version, signature).add(request)
        self._start_batches()
        return await answer

    def close(self) -> None:
        """Ends the workers once their batches are done; batches that wait are dropped."""
        self._workers.shutdown(wait=True, cancel_futures=True)

    def _num_rows(self, version: LoadedVersion, signature: str, inputs: Arrays) -> int:
        lengths = {array.shape[0] if array.ndim else None for array in inputs.values()}
        if not _can_join(version, signature):
            return 1
        if len(lengths) != 1:
            raise invalid("Batching Run() input tensors must have equal 0th-dimension size")
        (num_rows,) = lengths
        largest = self._options.max_batch_size
        if not num_rows:
            raise invalid("expected at least one row. Received: an empty batch")
        if num_rows > largest:
            raise invalid(f"Task size {num_rows} is larger than maximum input batch size {largest}")
        return num_rows

    def _batch_for(self, request: _Request, version: LoadedVersion, signature: str) -> _Batch:
        joins = _can_join(version, signature)
        key = (version, signature, _inner_shapes(request.inputs)) if joins else object()
        batch = self._open.get(key)
        if batch is None or batch.num_rows + request.num_rows > self._options.max_batch_size:
            if len(self._waiting) >= self._options.max_enqueued_batches:
                raise busy("The batch scheduling queue to which this task was submitted is full")
            batch = _Batch(key, version, signature, request.start)
            self._waiting.append(batch)
            self._open[key] = batch
        return batch

    def _start_batches(self) -> None:
        while self._num_running < self._options.num_batch_threads:
            batch = self._next_batch()
            if batch is None:
                return
            self._waiting.remove(batch)
            if self._open.get(batch.key) is batch:
                del self._open[batch.key]
            batch.requests = [r for r in batch.requests if not r.answer.cancelled()]
            if batch.requests:
                self._num_running += 1
                loop = asyncio.get_running_loop()
                done = loop.run_in_executor(self._workers, self._run_batch, batch)
                done.add_done_callback(lambda done, batch=batch: self._finish(batch, done))

    def _next_batch(self) -> _Batch | None:
        """Returns the first batch that need not wait longer, else wakes up when one need not."""
        now = time.perf_counter()
        for batch in self._waiting:
            can_grow = self._open.get(batch.key) is batch and (
                batch.num_rows < self._options.max_batch_size
            )
            if not can_grow or now >= batch.start + self._timeout:
                return batch
        if self._waiting and self._timer is None:
            wait = self._waiting[0].start + self._timeout - now
            self._timer = asyncio.get_running_loop().call_later(wait, self._wake)
        return None

    def _wake(self) -> None:
        self._timer = None
        self._start_batches()

    def _finish(self, batch: _Batch, done: asyncio.Future) -> None:
        self._num_running -= 1
        self._start_batches()  # first: the worker waits
        for request, answer in zip(batch.requests, done.result(), strict=True):
            if request.answer.done():  # its client gave up
                continue
            if isinstance(answer, Refusal):
                request.answer.set_exception(answer)
            else:
                request.answer.set_result(answer)

    def _run_batch(self, batch: _Batch) -> Sequence[Arrays | Refusal]:
        """Returns an answer for each request; runs in a worker."""
        now = time.perf_counter()
        queuing = self._metrics.queuing_latency.labels("batch")
        for request in batch.requests:
            queuing.observe((now - request.start) * 1e6)
        if len(batch.requests) > 1:
            try:
                return self._run_joined(batch)
            except Exception:  # each alone, so that only the one at fault fails
                _LOGGER.debug("a batch failed", exc_info=True)
        return [self._run_alone(batch, request) for request in batch.requests]

    def _run_joined(self, batch: _Batch) -> Sequence[Arrays]:
        requests = batch.requests
        joined = {
            name: np.concatenate([request.inputs[name] for request in requests])
            for name in requests[0].inputs
        }
        outputs = self._run_engine(batch, joined)
        num_rows = sum(request.num_rows for request in requests)
        if any(output.shape[:1] != (num_rows,) for output in outputs.values()):
            raise DataError("expected an output row for each input row")
        answers, row = [], 0
        for request in requests:
            rows = slice(row, row + request.num_rows)
            answers.append({name: output[rows] for name, output in outputs.items()})
            row = rows.stop
        return answers

    def _run_alone(self, batch: _Batch, request: _Request) -> Arrays | Refusal:
        try:
            return self._run_engine(batch, request.inputs)
        except DataError as error:
            return invalid(str(error))
        except Exception:
            _LOGGER.exception("%s version %d failed", batch.version.name, batch.version.version)
            return Refusal(grpc.StatusCode.INTERNAL, "the model failed; see the server's log")

    def _run_engine(self, batch: _Batch, inputs: Arrays) -> Arrays:
        start = time.perf_counter()
        outputs = batch.version.engine.run(batch.signature, inputs)
        elapsed = (time.perf_counter() - start) * 1e6
        name = batch.version.name
        self._metrics.runtime_latency.labels(name, "Predict", "TF2").observe(elapsed)
        self._metrics.batch_size.labels(name).observe(batch.num_rows)
        return outputs


def _can_join(version: LoadedVersion, signature: str) -> bool:
    """True if all inputs have a first dimension of any length, so that rows can be added."""
    infos = version.engine.signatures[signature].inputs.values()
    return all(info.shape[:1] == (None,) for info in infos)


def _inner_shapes(inputs: Arrays) -> tuple:
    return tuple((name, inputs[name].shape[1:]) for name in sorted(inputs))

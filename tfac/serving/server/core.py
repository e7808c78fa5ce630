"""A request from its model to its answer, whatever the wire."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import grpc
import numpy as np

from tfac.inference.engines import Engine, Signature
from tfac.serving.server.batching import Arrays, Batcher
from tfac.serving.server.configuration import ServerOptions
from tfac.serving.server.metrics import Metrics
from tfac.serving.server.models import LoadedVersion, ModelStore
from tfac.serving.server.refusals import Refusal, busy, invalid
from tfac.serving.server.tensors import check_names, check_shape

DEFAULT_SIGNATURE = "serving_default"
_LARGEST_REQUESTS = 8  # in memory at once


@dataclasses.dataclass
class Measured:
    """A request that is counted.

    Attributes:
        model_name: as the client gave it.
        start: when its body was there, by `time.perf_counter`.
    """

    model_name: str = ""
    start: float = dataclasses.field(default_factory=time.perf_counter)


class ModelServer:
    """What both wires answer from.

    Args:
        options: addresses, batching and limits.
        load: makes an engine from a version's folder.

    Attributes:
        options: as given.
        metrics: what is counted and timed.
        store: the models.
    """

    def __init__(self, options: ServerOptions, load: Callable[[Path], Engine]):
        self.options = options
        self.metrics = Metrics()
        self.store = ModelStore(load, self.metrics)
        self._batcher = Batcher(options, self.metrics)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._num_requests = 0
        self._num_bytes = 0

    def attach(self) -> None:
        """Lets `predict` reach the running event loop."""
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """Ends the worker threads."""
        self._batcher.close()

    async def run(
        self,
        version: LoadedVersion,
        signature: str,
        inputs: Arrays,
        output_filter: Sequence[str] = (),
    ) -> Arrays:
        """Returns the outputs of a version, run together with other requests.

        Args:
            version: pinned by the caller, see `ModelStore.get`.
            signature: one of the version's.
            inputs: arrays that fit the signature.
            output_filter: names of the outputs that are wanted; all by default.

        Raises:
            Refusal: an output is unknown, or as `Batcher.run`.
        """
        known = version.engine.signatures[signature].outputs
        for name in output_filter:
            if name not in known:
                raise invalid(
                    f"output tensor alias not found in signature: {name[:100]} "
                    f"Outputs expected to be in the set {{{','.join(sorted(known))}}}."
                )
        outputs = await self._batcher.run(version, signature, inputs)
        return {name: outputs[name] for name in output_filter} if output_filter else outputs

    def predict(
        self, model_name: str, version: int | None, signature: str, inputs: Arrays
    ) -> Arrays:
        """Returns the outputs for `inputs`; blocks, for threads other than the event loop's.

        Args:
            model_name: of the model.
            version: its number; None takes the highest that is available.
            signature: one of the version's.
            inputs: an array for each input.

        Raises:
            Refusal: as the answer over the wire would be.
        """
        if self._loop is None:
            raise RuntimeError("expected a server that runs")
        answer = self._predict(model_name, version, signature, inputs)
        return asyncio.run_coroutine_threadsafe(answer, self._loop).result()

    async def _predict(
        self, model_name: str, version: int | None, signature: str, inputs: Arrays
    ) -> Arrays:
        with self.store.get(model_name, version) as loaded:
            expected = find_signature(loaded, signature)
            check_names(inputs, expected)
            for name, info in expected.inputs.items():
                check_shape(name, np.shape(inputs[name]), info)
            return await self.run(loaded, signature, inputs)

    @contextlib.contextmanager
    def room(self) -> Iterator[Callable[[int], None]]:
        """Yields a function that sets bytes aside for a request's body, until the block ends.

        All requests together have room for 8 of the largest. The function raises `Refusal` where
        there is no more.
        """
        taken, most = 0, _LARGEST_REQUESTS * self.options.max_request_bytes

        def take(num_bytes: int) -> None:
            nonlocal taken
            if self._num_bytes + num_bytes > most:
                raise busy("too many bytes in requests at once; send it again later")
            self._num_bytes += num_bytes
            taken += num_bytes

        try:
            yield take
        finally:
            self._num_bytes -= taken

    @contextlib.contextmanager
    def admitted(self) -> Iterator[None]:
        """Counts a request, whose body is there, against `max_concurrent_requests`.

        Raises:
            Refusal: there are as many.
        """
        if self._num_requests >= self.options.max_concurrent_requests:
            raise busy("too many requests at once; send it again later")
        self._num_requests += 1
        try:
            yield
        finally:
            self._num_requests -= 1

    @contextlib.contextmanager
    def measured(self, entrypoint: str) -> Iterator[Measured]:
        """Counts a request and the status that the block ends with, and times those that succeed.

        Args:
            entrypoint: "GRPC" or "REST".

        Yields:
            The request, whose `model_name` and `start` the block sets.
        """
        request, status = Measured(), grpc.StatusCode.INTERNAL
        try:
            yield request
            status = grpc.StatusCode.OK
        except Refusal as refusal:
            status = refusal.code
            raise
        except asyncio.CancelledError:
            status = grpc.StatusCode.CANCELLED
            raise
        finally:
            # A name of the client's own would be a new time series each.
            name = request.model_name if request.model_name in self.store.names() else ""
            self.metrics.requests.labels(name, status.name).inc()
            if status is grpc.StatusCode.OK:
                elapsed = (time.perf_counter() - request.start) * 1e6
                self.metrics.request_latency.labels(name, "Predict", entrypoint).observe(elapsed)


def find_signature(version: LoadedVersion, name: str) -> Signature:
    """Returns a signature of a version.

    Raises:
        Refusal: there is none of this name.
    """
    if name not in version.engine.signatures:
        raise Refusal(
            grpc.StatusCode.FAILED_PRECONDITION,  # as TensorFlow Serving: 400 over REST
            f'Serving signature key "{name[:100]}" not found. Signatures: '
            + ", ".join(sorted(version.engine.signatures)),
        )
    return version.engine.signatures[name]

"""What is counted and timed, under TensorFlow Serving's names where it has one."""

from collections.abc import Iterable

import prometheus_client
from prometheus_client import CollectorRegistry, Histogram, Metric

prometheus_client.disable_created_metrics()

_MICROSECONDS = tuple(10 * 1.8**i for i in range(33))  # TensorFlow Serving's, to 20 minutes
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Counter(prometheus_client.Counter):
    """A count whose name is as given, without the ``_total`` that ends the names of others."""

    def collect(self) -> Iterable[Metric]:
        """Yields the counts."""
        for counted in super().collect():
            metric = Metric(counted.name, counted.documentation, "unknown")
            for sample in counted.samples:
                metric.add_sample(counted.name, sample.labels, sample.value)
            yield metric


class Metrics:
    """The metrics of one server, in a registry of their own.

    Attributes:
        requests: by model and status, as gRPC calls it.
        request_latency: microseconds from the whole request to its answer.
        runtime_latency: microseconds that the engine took for a batch.
        queuing_latency: microseconds that a request waited for its batch to start.
        batch_size: rows of the batches that ran.
        loads: attempts to load a version, by path and status.
        load_latency: microseconds that a version took to load and warm up.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            ":tensorflow:serving:request_count",
            "Requests.",
            ("model_name", "status"),
            registry=self.registry,
        )
        self.request_latency = self._histogram(
            ":tensorflow:serving:request_latency",
            "Microseconds of a request.",
            ("model_name", "API", "entrypoint"),
        )
        self.runtime_latency = self._histogram(
            ":tensorflow:serving:runtime_latency",
            "Microseconds of a batch in the engine.",
            ("model_name", "API", "runtime"),
        )
        self.queuing_latency = self._histogram(
            ":tensorflow:serving:batching_session:queuing_latency",
            "Microseconds that a request waited for its batch.",
            ("thread_pool_name",),
        )
        self.batch_size = self._histogram(
            ":tensorflow:serving:batching:processed_batch_size",
            "Rows of a batch.",
            ("model_name",),
            _ROWS,
        )
        self.loads = Counter(
            ":tensorflow:cc:saved_model:load_attempt_count",
            "Attempts to load a version.",
            ("model_path", "status"),
            registry=self.registry,
        )
        self.load_latency = self._histogram(
            ":tensorflow:cc:saved_model:load_latency",
            "Microseconds to load a version and to warm it up.",
            ("model_path",),
        )
        prometheus_client.ProcessCollector(registry=self.registry)

    def text(self) -> bytes:
        """Returns all of them in Prometheus's text form."""
        return prometheus_client.generate_latest(self.registry)

    def _histogram(
        self,
        name: str,
        documentation: str,
        labels: tuple[str, ...],
        buckets: tuple[float, ...] = _MICROSECONDS,
    ) -> Histogram:
        return Histogram(name, documentation, labels, registry=self.registry, buckets=buckets)

"""tfac-serve: serves exported models with TensorFlow Serving's wire contract, for trying them.

Production is TensorFlow Serving, which runs the same exports; see deploy/.

Examples:
    tfac-serve --saved_model=saved_models/dmm_cnn
    tfac-serve --saved_model=saved_models/dmm_cnn --saved_model=saved_models/mgg_net --page
    tfac-serve --model_config_file=deploy/models.config

New versions are picked up as they appear; what is broken is refused while the old one serves on.
Ctrl-C or SIGTERM finishes what is in flight.
"""

import asyncio
import contextlib
import functools
import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from absl import flags

from tfac.cli import import_tensorflow_quietly, run_program
from tfac.errors import ConfigError, DataError

_SAVED_MODEL = flags.DEFINE_multi_string(
    "saved_model",
    [],
    "exported model: saved_models/NAME (its newest version) or saved_models/NAME/VERSION; "
    "may be given several times",
)
_MODEL_CONFIG_FILE = flags.DEFINE_string(
    "model_config_file", None, "TensorFlow Serving's models.config, instead of --saved_model"
)
_MODEL_CONFIG_FILE_POLL_WAIT_SECONDS = flags.DEFINE_integer(
    "model_config_file_poll_wait_seconds",
    0,
    "seconds between looks at --model_config_file; 0 reads it once",
    0,
)
_HOST = flags.DEFINE_string("host", "127.0.0.1", "address to listen on; 0.0.0.0 for all")
_PORT = flags.DEFINE_integer("port", 8500, "port for gRPC; 0 takes a free one", 0, 65535)
_REST_API_PORT = flags.DEFINE_integer(
    "rest_api_port", 8501, "port for REST; 0 takes a free one", 0, 65535
)
_FILE_SYSTEM_POLL_WAIT_SECONDS = flags.DEFINE_float(
    "file_system_poll_wait_seconds", 1, "seconds between looks for new versions; 0 looks once", 0
)
_ENGINE = flags.DEFINE_enum(
    "engine",
    "tensorflow",
    ("tensorflow", "onnxruntime", "openvino"),
    "what runs the network; others than TensorFlow need an export with --formats",
)
_MAX_BATCH_SIZE = flags.DEFINE_integer(
    "max_batch_size", 32, "pictures that run at once, and the most of one request", 1
)
_BATCH_TIMEOUT_MICROS = flags.DEFINE_integer(
    "batch_timeout_micros", 0, "time that a batch waits to be filled while the engine is idle", 0
)
_MAX_ENQUEUED_BATCHES = flags.DEFINE_integer(
    "max_enqueued_batches", 16, "batches that wait; requests beyond are answered 'busy'", 1
)
_NUM_BATCH_THREADS = flags.DEFINE_integer("num_batch_threads", 1, "batches that run at once", 1)
_MAX_REQUEST_BYTES = flags.DEFINE_integer(
    "max_request_bytes", 32 * 2**20, "largest request, as it comes over the wire", 1
)
_MAX_CONCURRENT_REQUESTS = flags.DEFINE_integer(
    "max_concurrent_requests", 256, "requests at once, over gRPC and over REST each", 1
)
_REST_API_TIMEOUT_IN_MS = flags.DEFINE_integer(
    "rest_api_timeout_in_ms",
    30_000,
    "time for a REST request to come in and be answered, and for a gRPC request to come in",
    1,
)
_GRACE = flags.DEFINE_float(
    "grace", 30, "seconds for requests in flight when the server is stopped", 0
)
_PAGE = flags.DEFINE_bool("page", False, "also serve a page to try the models on")


def main(argv: Sequence[str]) -> None:
    """Serves until it is told to stop."""
    if len(argv) > 1:
        raise ConfigError(f"expected flags alone. Received: {' '.join(argv[1:])}")
    if bool(_SAVED_MODEL.value) == bool(_MODEL_CONFIG_FILE.value):
        raise ConfigError("expected one of --saved_model and --model_config_file")
    if _MODEL_CONFIG_FILE.value:
        import_tensorflow_quietly()
    configs = _configs()
    import_tensorflow_quietly()

    from tfac.serving.server.core import ModelServer

    logging.getLogger("tfac.serving").setLevel(logging.INFO)
    server = ModelServer(_options(), functools.partial(_load, engine=_ENGINE.value))
    server.store.configure(configs)
    server.store.poll()
    _check_available(server)
    with _looking_for_changes(server):
        asyncio.run(_serve(server))


@contextlib.contextmanager
def _looking_for_changes(server) -> Iterator[None]:
    from tfac.serving.server.running import every

    stop, threads = threading.Event(), []
    if _FILE_SYSTEM_POLL_WAIT_SECONDS.value:
        threads.append(every(_FILE_SYSTEM_POLL_WAIT_SECONDS.value, server.store.poll, stop))
    if _MODEL_CONFIG_FILE.value and _MODEL_CONFIG_FILE_POLL_WAIT_SECONDS.value:
        seconds = _MODEL_CONFIG_FILE_POLL_WAIT_SECONDS.value
        threads.append(every(seconds, lambda: server.store.configure(_configs()), stop))
    yield
    stop.set()
    for thread in threads:  # TensorFlow must not be loading a version when Python ends
        thread.join()


async def _serve(server) -> None:
    from tfac.serving.server.rest_service import create_app
    from tfac.serving.server.running import serve

    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    routes = _page_routes(server) if _PAGE.value else []
    await serve(server, create_app(server, routes), _announce(server), stop)


def _page_routes(server) -> list:
    from tfac.serving.page import page_routes

    return page_routes(server.store, server.predict)


def _announce(server) -> Callable[[int, int], None]:
    def ready(port: int, rest_api_port: int) -> None:
        for name in server.store.names():
            numbers = ", ".join(str(number) for number in server.store.available(name))
            print(
                f"Serving {name} version {numbers} at grpc://{_HOST.value}:{port} "
                f"and http://{_HOST.value}:{rest_api_port}",
                flush=True,
            )

    return ready


def _options():
    from tfac.serving.server.configuration import ServerOptions

    return ServerOptions(
        host=_HOST.value,
        port=_PORT.value,
        rest_api_port=_REST_API_PORT.value,
        file_system_poll_wait_seconds=_FILE_SYSTEM_POLL_WAIT_SECONDS.value,
        max_batch_size=_MAX_BATCH_SIZE.value,
        batch_timeout_micros=_BATCH_TIMEOUT_MICROS.value,
        max_enqueued_batches=_MAX_ENQUEUED_BATCHES.value,
        num_batch_threads=_NUM_BATCH_THREADS.value,
        max_request_bytes=_MAX_REQUEST_BYTES.value,
        max_concurrent_requests=_MAX_CONCURRENT_REQUESTS.value,
        rest_api_timeout_in_ms=_REST_API_TIMEOUT_IN_MS.value,
        grace_seconds=_GRACE.value,
    )


def _configs() -> list:
    from tfac.serving.server.configuration import check_names, model_at, read_model_config

    if _MODEL_CONFIG_FILE.value:
        return read_model_config(_MODEL_CONFIG_FILE.value)
    configs = [model_at(path) for path in _SAVED_MODEL.value]
    check_names([config.name for config in configs], "--saved_model")
    return configs


def _load(folder: Path, engine: str):
    from tfac.inference.engines import load_engine
    from tfac.serving.server.warmup import warm_up

    loaded = load_engine(folder, engine)
    warm_up(loaded, folder)
    return loaded


def _check_available(server) -> None:
    from tfac.serving.server.refusals import Refusal

    for name in server.store.names():
        try:
            statuses = server.store.status(name)
        except Refusal as refusal:
            raise DataError(refusal.message) from refusal
        if not server.store.available(name):
            reasons = "; ".join(f"version {s.version}: {s.error}" for s in statuses)
            raise DataError(f"{name}: no version can be served: {reasons}")


def run() -> None:
    """Entry point."""
    run_program(main)


if __name__ == "__main__":
    run()

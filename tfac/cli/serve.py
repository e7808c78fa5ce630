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
import dataclasses
import functools
import gc
import importlib.util
import logging
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

from absl import flags

from tfac.cli import define_flag, import_tensorflow_quietly, run_program
from tfac.errors import ConfigError, DataError
from tfac.serving.server.configuration import (
    ModelConfig,
    ServerOptions,
    check_names,
    model_at,
    read_model_config,
)

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
_ENGINE = flags.DEFINE_enum(
    "engine",
    "tensorflow",
    ("tensorflow", "onnxruntime", "openvino"),
    "what runs the network; others than TensorFlow need an export with --formats",
)
_PAGE = flags.DEFINE_bool("page", False, "also serve a page to try the models on")
_OPTIONS = {
    field.name: define_flag(
        field, field.default, field.metadata["help"], **field.metadata["limits"]
    )
    for field in dataclasses.fields(ServerOptions)
    if field.metadata
}


def main() -> None:
    """Serves until it is told to stop."""
    for package in ("grpc", "prometheus_client", "starlette", "uvicorn"):
        if importlib.util.find_spec(package) is None:
            raise ConfigError(f"tfac-serve needs {package}: pip install 'tfac[serving]'")
    if bool(_SAVED_MODEL.value) == bool(_MODEL_CONFIG_FILE.value):
        raise ConfigError("expected one of --saved_model and --model_config_file")
    if _MODEL_CONFIG_FILE.value:
        import_tensorflow_quietly()
    configs = _configs()
    import_tensorflow_quietly()

    from tfac.serving.server.core import ModelServer

    gc.freeze()  # TensorFlow's many objects, which each collection would go through
    logging.getLogger("tfac.serving").setLevel(logging.INFO)
    options = ServerOptions(**{name: flag.value for name, flag in _OPTIONS.items()})
    server = ModelServer(options, functools.partial(_load, engine=_ENGINE.value))
    server.store.configure(configs)
    server.store.poll()
    _check_available(server)
    with _looking_for_changes(server):
        asyncio.run(_serve(server))


@contextlib.contextmanager
def _looking_for_changes(server) -> Iterator[None]:
    from tfac.serving.server.running import every

    stop, threads = threading.Event(), []
    if server.options.file_system_poll_wait_seconds:
        seconds = server.options.file_system_poll_wait_seconds
        threads.append(every(seconds, server.store.poll, stop))
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
    routes = []
    if _PAGE.value:
        from tfac.serving.page import page_routes

        routes = page_routes(server.store, server.predict)
    await serve(server, create_app(server, routes), functools.partial(_announce, server), stop)


def _announce(server, port: int, rest_api_port: int) -> None:
    host = server.options.host
    for name in server.store.names():
        numbers = ", ".join(str(number) for number in server.store.available(name))
        addresses = f"grpc://{host}:{port} and http://{host}:{rest_api_port}"
        print(f"Serving {name} version {numbers} at {addresses}", flush=True)
    if _PAGE.value:
        here = "localhost" if host in ("0.0.0.0", "::") else host
        print(f"The page: http://{here}:{rest_api_port}/page", flush=True)


def _configs() -> list[ModelConfig]:
    if _MODEL_CONFIG_FILE.value:
        return read_model_config(_MODEL_CONFIG_FILE.value)
    configs = [model_at(path) for path in _SAVED_MODEL.value]
    check_names([config.name for config in configs], "--saved_model")
    return configs


def _load(folder: Path, engine: str):
    from tfac.inference.engines import load_engine
    from tfac.serving.server.warmup import warm_up

    loaded = load_engine(folder, engine)
    warm_up(loaded, folder, may_lack=() if engine == "tensorflow" else ("explain",))
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


run = functools.partial(run_program, main)

if __name__ == "__main__":
    run()

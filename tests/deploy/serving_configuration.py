"""TensorFlow Serving's configuration files as messages, and the order in which they may follow.

tensorflow-serving-api brings ModelServerConfig alone. The fields of the other two are those of
servables/tensorflow/session_bundle_config.proto and config/monitoring_config.proto.
"""

import re
from pathlib import Path

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,  # noqa: F401  (the pool is to know it)
)
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from tensorflow_serving.config import model_server_config_pb2

DEPLOY = Path(__file__).parents[2] / "deploy"

# What TensorFlow Serving 2.19 counts (its servables/tensorflow/util.cc and batching/
# batching_session.cc, TensorFlow's cc/saved_model/loader.cc), with the labels.
METRICS = {
    ":tensorflow:serving:request_count": {"model_name", "status"},
    ":tensorflow:serving:request_latency": {"model_name", "API", "entrypoint"},
    ":tensorflow:serving:runtime_latency": {"model_name", "API", "runtime"},
    ":tensorflow:serving:batching_session:queuing_latency": {"thread_pool_name"},
    ":tensorflow:cc:saved_model:load_attempt_count": {"model_path", "status"},
}

_PACKAGE = "tfac.test.serving"
_BATCHING = {
    "max_batch_size": "google.protobuf.Int64Value",
    "batch_timeout_micros": "google.protobuf.Int64Value",
    "max_enqueued_batches": "google.protobuf.Int64Value",
    "num_batch_threads": "google.protobuf.Int64Value",
    "thread_pool_name": "google.protobuf.StringValue",
    "allowed_batch_sizes": "repeated int64",
    "pad_variable_length_inputs": "bool",
}
_PROMETHEUS = {"enable": "bool", "path": "string"}
_MONITORING = {"prometheus_config": f"{_PACKAGE}.PrometheusConfig"}
_SCALARS = {"bool": Field.TYPE_BOOL, "int64": Field.TYPE_INT64, "string": Field.TYPE_STRING}


def model_config(text: str):
    """Returns the one model of a models.config."""
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    [model] = config.model_config_list.config
    return model


def batching_parameters(text: str):
    return text_format.Parse(text, _message("BatchingParameters")())


def monitoring_config(text: str):
    return text_format.Parse(text, _message("MonitoringConfig")())


def walk() -> list[str]:
    """Returns models.config as it is and after each step of deploy/README.md."""
    steps = re.findall(r"```proto\n(.*?)```", read("README.md"), re.DOTALL)
    return [read("serving/models.config"), *steps]


def read(name: str) -> str:
    return (DEPLOY / name).read_text(encoding="utf-8")


def _message(name: str):
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{_PACKAGE}.{name}"))


def _pool() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(
        name="tfac_test_serving.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=["google/protobuf/wrappers.proto"],
    )
    for name, fields in (
        ("BatchingParameters", _BATCHING),
        ("PrometheusConfig", _PROMETHEUS),
        ("MonitoringConfig", _MONITORING),
    ):
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields.items(), start=1):
            _add_field(message, field, number, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return pool


def _add_field(message, name: str, number: int, kind: str) -> None:
    repeated, _, scalar = kind.rpartition(" ")
    field = message.field.add(name=name, number=number)
    field.label = Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL
    if scalar in _SCALARS:
        field.type = _SCALARS[scalar]
    else:
        field.type, field.type_name = Field.TYPE_MESSAGE, f".{scalar}"

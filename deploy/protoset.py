"""Writes what grpcurl needs to know of TensorFlow Serving, which tells nobody (no reflection).

python deploy/protoset.py serving.protoset
"""

import contextlib
import importlib
import sys
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FileDescriptor

_SERVICES = ("prediction_service", "model_service")


def protoset() -> descriptor_pb2.FileDescriptorSet:
    """Returns the descriptors of both services, each file after those that it imports."""
    files: dict[str, FileDescriptor] = {}

    def add(file: FileDescriptor) -> None:
        for imported in file.dependencies:
            add(imported)
        files.setdefault(file.name, file)

    for service in _SERVICES:
        # model_service_pb2 was generated for an older protobuf: under 6 its import ends with an
        # error, after it has made its file known.
        with contextlib.suppress(AttributeError):
            importlib.import_module(f"tensorflow_serving.apis.{service}_pb2")
        add(descriptor_pool.Default().FindFileByName(f"tensorflow_serving/apis/{service}.proto"))
    descriptors = descriptor_pb2.FileDescriptorSet()
    for file in files.values():
        file.CopyToProto(descriptors.file.add())
    return descriptors


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(protoset().SerializeToString())

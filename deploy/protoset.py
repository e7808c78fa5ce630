"""Writes what grpcurl needs to know of TensorFlow Serving, which tells nobody (no reflection).

python deploy/protoset.py serving.protoset
"""

import sys
from pathlib import Path

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FileDescriptor
from tensorflow_serving.apis import model_service_pb2, prediction_service_pb2


def protoset() -> descriptor_pb2.FileDescriptorSet:
    """Returns the descriptors of both services, each file after those that it imports."""
    files: dict[str, FileDescriptor] = {}

    def add(file: FileDescriptor) -> None:
        for imported in file.dependencies:
            add(imported)
        files.setdefault(file.name, file)

    for service in (prediction_service_pb2, model_service_pb2):
        add(service.DESCRIPTOR)
    descriptors = descriptor_pb2.FileDescriptorSet()
    for file in files.values():
        file.CopyToProto(descriptors.file.add())
    return descriptors


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(protoset().SerializeToString())

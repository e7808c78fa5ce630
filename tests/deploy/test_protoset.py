import runpy

import pytest
from google.protobuf import descriptor_pool, json_format, message_factory
from serving_configuration import DEPLOY


@pytest.fixture(scope="module")
def descriptors():
    return runpy.run_path(str(DEPLOY / "protoset.py"))["protoset"]()


def test_every_file_comes_after_those_that_it_imports(descriptors):
    seen = set()
    for file in descriptors.file:
        assert seen.issuperset(file.dependency)
        seen.add(file.name)


def test_a_request_in_json_is_understood(descriptors):
    pool = descriptor_pool.DescriptorPool()
    for file in descriptors.file:
        pool.Add(file)
    service = pool.FindServiceByName("tensorflow.serving.PredictionService")
    request = message_factory.GetMessageClass(service.methods_by_name["Predict"].input_type)()
    picture = {"dtype": "DT_STRING", "tensor_shape": {"dim": [{"size": 1}]}, "string_val": ["/9g="]}
    asked = {
        "model_spec": {"name": "m", "version_label": "stable"},
        "inputs": {"image_bytes": picture},
    }
    json_format.ParseDict(asked, request)
    assert request.inputs["image_bytes"].string_val[0] == b"\xff\xd8"
    assert pool.FindServiceByName("tensorflow.serving.ModelService")

import numpy as np
import psutil
import pytest
import tensorflow as tf

from tests.serving.server.broken_pictures import broken_picture, whole_picture
from tests.serving.server.hostile_client import HostileClient, predict_alone
from tests.serving.server.running_server import running, write_saved_model
from tests.serving.server.serve_program import serve_program
from tfac.inference.engines import load_engine

NUM_REQUESTS = 400


def test_same_seed_makes_the_same_requests():
    first, second = (
        [broken_picture(np.random.default_rng([1, i])) for i in range(40)] for _ in range(2)
    )
    assert first == second
    assert len({picture.kind for picture in first}) > 8


def test_whole_pictures_are_whole():
    random = np.random.default_rng(0)
    for _ in range(20):
        tf.io.decode_image(whole_picture(random))


def test_tiny_server_survives_hostile_requests(tmp_path):
    folder = write_saved_model(tmp_path / "faces" / "1")
    with running(tmp_path / "faces", load_engine, max_batch_size=32) as served:
        client = HostileClient(served.url, served.grpc_address, "faces", predict_alone(folder))
        outcomes = client.run(range(30))
        client.close()
    assert outcomes["valid request", "answered right"] == 10


@pytest.mark.slow
def test_program_survives_hostile_requests_and_does_not_grow(tiny_export):
    predict = predict_alone(tiny_export)
    with serve_program(tiny_export.parent) as program:
        client = HostileClient(program.url, program.grpc_address, program.lines[0][0], predict)
        # From then on its threads and buffers are there.
        client.run(range(NUM_REQUESTS, NUM_REQUESTS + 200))
        memory = psutil.Process(program.process.pid).memory_info()
        outcomes = client.run(range(NUM_REQUESTS))
        grown = psutil.Process(program.process.pid).memory_info().rss - memory.rss
        client.close()
        assert program.process.poll() is None
    assert outcomes["valid request", "answered right"] == len(range(0, NUM_REQUESTS, 3))
    assert grown < 300e6

import asyncio
import http.server

import numpy as np
import pytest
import tensorflow as tf

from tests.serving.client.fake_model_server import FakeModel, serve_grpc, serve_http
from tfac.errors import ServerUnreachableError, ServingError, TooLargeError
from tfac.serving import AsyncClient, Client

PICTURES = [np.zeros((2, 2, 3), np.uint8)]


def test_request_beyond_the_servers_limit_is_too_large():
    picture = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
    with serve_grpc(FakeModel(), max_receive_message_length=5000) as server:
        with Client(server, model="faces", retries=0) as client:
            with pytest.raises(TooLargeError, match="larger than max.*Send fewer pictures"):
                client([picture])


def test_few_bytes_do_not_become_a_tensor_without_bounds():
    model = FakeModel()
    bomb = tf.make_tensor_proto(np.zeros(1, np.float32))
    bomb.tensor_shape.dim[0].size = 2**40
    model.outputs = {"scores": bomb}
    with serve_grpc(model) as server, Client(server, model="faces") as client:
        with pytest.raises(ServingError, match=r"broken tensor: its shape is \[1099511627776\]"):
            client(PICTURES)


@pytest.mark.parametrize("sizes", [(-1,), (2**40, -1), (3,)])
def test_tensor_that_contradicts_itself_is_refused(sizes):
    model = FakeModel()
    broken = tf.make_tensor_proto(np.zeros(2, np.float32))
    del broken.tensor_shape.dim[:]
    for size in sizes:
        broken.tensor_shape.dim.add(size=size)
    model.outputs = {"scores": broken}
    with serve_grpc(model) as server, Client(server, model="faces") as client:
        with pytest.raises(ServingError, match="broken tensor"):
            client(PICTURES)


def test_rest_port_asked_by_grpc_is_explained():
    with serve_http(http.server.BaseHTTPRequestHandler) as server:
        with Client(server.removeprefix("http://"), model="faces", retries=0) as client:
            with pytest.raises(ServerUnreachableError, match="right port.*http://HOST:8501"):
                client(PICTURES)


def test_async_client_can_be_made_outside_an_event_loop():
    with serve_grpc(FakeModel()) as server:
        client = AsyncClient(server, model="faces")

        async def predict():
            async with client:
                return await client(PICTURES)

        assert len(asyncio.run(predict())) == 1


def test_async_client_that_asked_nothing_can_be_closed():
    async def close():
        await AsyncClient("127.0.0.1:1", model="faces").aclose()

    asyncio.run(close())

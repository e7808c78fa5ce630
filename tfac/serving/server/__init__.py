"""A small local server of exported models with TensorFlow Serving's wire contract.

For trying and testing where TensorFlow Serving cannot run; production is TensorFlow Serving. What a
client sends and gets is the same for both.

- `refusals`: the errors that a client gets, with their gRPC and HTTP codes.
- `configuration`: what is served, and within which limits.
- `models`: versions on disk are loaded, switched, drained and refused.
- `batching`: requests that fit together run as one batch.
- `tensors`, `json_tensors`: from what is on the wire to arrays, and back.
- `core`: a request from its model to its answer, whatever the wire.
- `grpc_service`, `rest_service`, `connections`: the two wires.
- `running`: start and graceful stop.
"""

from prometheus_client.parser import text_string_to_metric_families

from tfac.serving.server.metrics import Metrics


def samples(metrics: Metrics) -> dict[tuple, float]:
    families = text_string_to_metric_families(metrics.text().decode())
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def test_counts_have_the_very_names_of_tensorflow_serving():
    metrics = Metrics()
    for status in ("OK", "OK", "NOT_FOUND"):
        metrics.requests.labels("faces", status).inc()
    found = samples(metrics)
    name = ":tensorflow:serving:request_count"
    assert found[name, ("model_name", "faces"), ("status", "OK")] == 2
    assert found[name, ("model_name", "faces"), ("status", "NOT_FOUND")] == 1


def test_latencies_have_the_buckets_of_tensorflow_serving():
    metrics = Metrics()
    metrics.request_latency.labels("faces", "Predict", "GRPC").observe(17)
    labels = [("API", "Predict"), ("entrypoint", "GRPC"), ("model_name", "faces")]
    name = ":tensorflow:serving:request_latency"
    found = samples(metrics)
    assert found[name + "_count", *labels] == 1 and found[name + "_sum", *labels] == 17
    buckets = [key for key in found if key[0] == name + "_bucket"]
    assert len(buckets) == 34
    bounds = [(float(dict(key[1:])["le"]), found[key]) for key in buckets]
    assert sorted(bounds)[:2] == [(10.0, 0.0), (18.0, 1.0)]


def test_servers_do_not_share_their_counts():
    first, second = Metrics(), Metrics()
    first.requests.labels("faces", "OK").inc()
    name = ":tensorflow:serving:request_count"
    assert (name, ("model_name", "faces"), ("status", "OK")) not in samples(second)
    assert any(key[0] == "process_resident_memory_bytes" for key in samples(second))

import dataclasses
import json
import subprocess
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import op_def_registry

from tfac.errors import ConfigError, DataError
from tfac.export import ExportOptions, describe, export_saved_model, saved_model
from tfac.files import version_folders
from tfac.inference.calibration import Calibration
from tfac.inference.engines import load_engine
from tfac.inference.exported_network import load_exported_network
from tfac.inference.predictor import Predictor
from tfac.landmarks import DLIB_72
from tfac.photos.preprocessing import read_picture
from tfac.training.config import TrainConfig
from tfac.training.workdir import create_network

BARE = ExportOptions(warmup_batch_sizes=())


def meta_graph(path):
    content = (path / "saved_model.pb").read_bytes()
    (graph,) = saved_model_pb2.SavedModel.FromString(content).meta_graphs
    return graph


def test_weights_are_stored_once(tiny_trained, tiny_export):
    stored = sum(file.stat().st_size for file in (tiny_export / "variables").iterdir())
    assert stored < 4.1 * tiny_trained.model.count_params()


def test_meaning_of_the_outputs_travels_with_the_model(tiny_trained, tiny_export):
    extra = tiny_export / "assets.extra"
    assert (extra / "attributes.txt").read_text().split() == list(tiny_trained.attributes)
    metadata = json.loads((extra / "tfac.json").read_text())
    assert metadata["attributes"] == list(tiny_trained.attributes)
    assert metadata["thresholds"] == tiny_trained.thresholds.tolist()
    np.testing.assert_allclose(
        metadata["threshold_probabilities"], np.clip((tiny_trained.thresholds + 1) / 2, 0, 1)
    )
    assert {name: len(group) for name, group in metadata["attribute_groups"].items()} == {
        "objective": 22,
        "subjective": 18,
    }
    assert metadata["attribute_loss"] == "squared_error"
    assert metadata["image_size"] == {"height": 48, "width": 40}
    assert metadata["landmark_scheme"] == "dlib_72"
    assert metadata["landmark_features"]["left_eye"] == [36, 42]
    assert metadata["training"]["backbone"] == "resnet18"
    assert metadata["explain"] == {"levels": [], "groups": [], "affinity": False}
    assert metadata["precision"] == "float32" and metadata["step"] == 7
    assert metadata["versions"]["exported_with"]["tensorflow"] == tf.__version__
    assert metadata["data"] is None and metadata["metrics"] is None  # of this model nobody knows
    assert "40 attributes" in (extra / "model_card.md").read_text()


def test_data_and_libraries_of_the_training_are_told(small):
    data = {"name": "faces", "fingerprint": "ab12", "splits": {"train": 5}, "attributes": ["x"]}
    known = dataclasses.replace(small, data=data, versions={"tensorflow": "2.21.0"})
    metadata = describe(known)
    told = {"name": "faces", "fingerprint": "ab12", "splits": {"train": 5}, "face_detector": None}
    assert metadata["data"] == told
    assert metadata["versions"]["trained_with"] == {"tensorflow": "2.21.0"}


def test_probabilities_are_calibrated_where_the_network_is(small, tmp_path):
    calibration = Calibration(np.linspace(0.5, 2, 40, dtype="f"), np.linspace(-2, 2, 40, dtype="f"))
    path = export_saved_model(
        dataclasses.replace(small, calibration=calibration), tmp_path / "small", BARE
    )
    loaded = load_exported_network(path)
    np.testing.assert_array_equal(loaded.calibration.slope, calibration.slope)
    np.testing.assert_array_equal(loaded.calibration.intercept, calibration.intercept)
    answers = load_engine(path).run("images", {"images": np.full((2, 9, 9, 3), 90, np.uint8)})
    expected = 1 / (1 + np.exp(-(calibration.slope * answers["scores"] + calibration.intercept)))
    np.testing.assert_allclose(answers["probabilities"], expected, rtol=1e-5)
    predictor = Predictor(path)
    cuts = calibration.probabilities(small.thresholds)
    for name, cut in zip(small.attributes, cuts, strict=True):
        assert predictor.thresholds[name] == pytest.approx(float(cut), rel=1e-5)


def test_consistent_answers_break_no_rule_in_the_graph(small, tmp_path):
    images = np.random.default_rng(3).integers(0, 256, (30, 9, 9, 3), np.uint8)
    paths = {
        consistent: export_saved_model(
            dataclasses.replace(small, consistent=consistent), tmp_path / str(consistent), BARE
        )
        for consistent in (False, True)
    }
    free, held = (load_engine(path).run("images", {"images": images}) for path in paths.values())
    network = load_exported_network(paths[True])
    assert network.consistent and not load_exported_network(paths[False]).consistent
    assert network.groups.label_rules == small.groups.label_rules
    np.testing.assert_array_equal(held["scores"], free["scores"])
    np.testing.assert_array_equal(free["predictions"], free["scores"] > small.thresholds)
    np.testing.assert_array_equal(held["predictions"], network.answers(held["scores"]))

    def contradict(answers):
        known = np.ones(answers.shape, bool)
        rules = small.groups.label_rules
        return np.any([rule.find(small.attributes, answers, known)[0] for rule in rules], axis=0)

    assert contradict(free["predictions"]).any()
    assert not contradict(held["predictions"]).any()


@pytest.fixture
def evaluation(small, tmp_path):
    """What tfac-evaluate would write about `small`."""
    from tfac.evaluation.report import summarise, write_report
    from tfac.evaluation.split_scores import SplitScores

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (30, 40)).astype(np.float32)
    scores = SplitScores(labels, np.ones_like(labels), labels + rng.normal(0, 1, (30, 40)), None)
    report = summarise(small.attributes, small.thresholds, scores, [("Male",)])
    about = {"model": "runs/x", "data_set": "faces", "split": "test", "thresholds": "trained"}
    write_report({**about, **report}, tmp_path / "metrics.json")
    return json.loads((tmp_path / "metrics.json").read_text())


def test_evaluation_travels_with_the_model(small, evaluation, tmp_path):
    path = export_saved_model(small, tmp_path / "small", BARE, evaluation)
    extra = path / "assets.extra"
    metrics = json.loads((extra / "metrics.json").read_text())
    assert metrics == {name: value for name, value in evaluation.items() if name != "model"}
    summary = json.loads((extra / "tfac.json").read_text())["metrics"]
    assert summary["mean_accuracy"] == evaluation["mean_accuracy"]
    assert summary["split"] == "test" and not {"model", "attributes", "slices"} & set(summary)
    assert "Male=1" in (extra / "model_card.md").read_text()
    assert not (extra / "tf_serving_warmup_requests").exists()


def test_evaluation_of_another_model_is_refused(small, evaluation, tmp_path):
    del evaluation["attributes"]["Young"]
    with pytest.raises(DataError, match="evaluation: expected the attributes of the model"):
        export_saved_model(small, tmp_path / "small", BARE, evaluation)
    assert not version_folders(tmp_path / "small")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_size": "other"}, "input_size: expected one of free, trained. Received: other"),
        ({"warmup_batch_sizes": (4, 0)}, "warmup_batch_sizes: .* Received: 4, 0"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        ExportOptions(**options)


# TensorFlow imports Keras, so Keras cannot be barred; what follows must import no more of it.
ALONE = """
import importlib.abc, sys
BARRED = {"tfac", "keras_hub", "tensorflow_datasets", "tensorflow_text", "PIL", "dlib"}
class Bar(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BARRED:
            raise ImportError(name + " is barred")
sys.meta_path.insert(0, Bar())
import numpy as np, tensorflow as tf

imported = set(sys.modules)
folder = sys.argv[1]
inputs = dict(np.load(sys.argv[2]))
images, image_bytes = inputs["images"], inputs["image_bytes"].tolist()
loaded = tf.saved_model.load(folder)
answers = {
    name + "/" + key: value.numpy()
    for name, given in (
        ("serving_default", {"image_bytes": tf.constant(image_bytes)}),
        ("images", {"images": tf.constant(images)}),
    )
    for key, value in loaded.signatures[name](**given).items()
}
with tf.Graph().as_default(), tf.compat.v1.Session() as session:  # as TensorFlow Serving runs it
    graph = tf.compat.v1.saved_model.load(session, ["serve"], folder)
    signature = graph.signature_def["serving_default"]
    outputs = {key: info.name for key, info in signature.outputs.items()}
    given = {signature.inputs["image_bytes"].name: image_bytes}
    for key, value in session.run(outputs, given).items():
        answers["session/" + key] = value
np.savez(sys.argv[3], **answers)
more = {name.split(".")[0] for name in set(sys.modules) - imported}
print("imported", sorted(more & {"keras", *BARRED}))
"""


@pytest.mark.slow
def test_runs_in_a_process_with_tensorflow_alone(tiny_export, tiny_signatures, pictures, tmp_path):
    files = [tf.io.encode_png(picture).numpy() for picture in pictures] + [b"broken"]
    images = np.stack([pictures[1], pictures[1][::-1]])
    np.savez(tmp_path / "inputs.npz", images=images, image_bytes=np.array(files, np.bytes_))
    arguments = [str(tiny_export), str(tmp_path / "inputs.npz"), str(tmp_path / "answers.npz")]
    done = subprocess.run(
        [sys.executable, "-I", "-c", ALONE, *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["imported []"]
    here = {
        "serving_default": tiny_signatures["serving_default"](image_bytes=tf.constant(files)),
        "images": tiny_signatures["images"](images=tf.constant(images)),
    }
    here["session"] = here["serving_default"]
    answers = np.load(tmp_path / "answers.npz")
    assert set(answers) == {f"{name}/{key}" for name in here for key in here[name]}
    for name, expected in here.items():
        for key, values in expected.items():
            np.testing.assert_allclose(answers[f"{name}/{key}"], values, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"model": "mgg_net", "precision": "mixed_float16"},
        {"model": "lga_net", "precision": "mixed_bfloat16", "test_time_flip": True},
        {"model": "mgg_net", "backbone": "vgg16", "attention_groups": "attributes"},
        {"model": "dmm_cnn", "backbone": "alexnet", "attribute_grouping": False},
        {"model": "baseline", "backbone": "resnet18"},
        {"model": "mcnn_aux"},
        {"model": "ps_mcnn"},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_every_network_is_answered_as_before_the_export(tiny_trained, encoded, tmp_path, options):
    attributes, groups = tiny_trained.attributes, tiny_trained.groups
    if "backbone" not in options and options["model"] in ("mgg_net", "lga_net"):
        options = {**options, "backbone": "resnet18"}
    config = TrainConfig(image_size=(64, 56), **options)
    model = create_network(config, attributes, DLIB_72, groups, backbone_weights=None)
    trained = dataclasses.replace(
        tiny_trained,
        model=model,
        test_time_flip=config.test_time_flip,
        training=config.to_dict(),
        image_size=config.image_size,
        landmark_scheme=DLIB_72 if config.trains_landmarks else None,
    )
    path = export_saved_model(trained, tmp_path, dataclasses.replace(BARE, folded=False))
    answers = tf.saved_model.load(str(path)).signatures["serving_default"](
        image_bytes=tf.constant([*encoded, b"broken"])
    )
    images = tf.stack([read_picture(each, config.image_size) for each in encoded])
    expected = tf.function(trained.predict)(images)
    for name in {"scores", "landmarks"} & set(expected):
        np.testing.assert_allclose(answers[name][:-1], expected[name], rtol=1e-3, atol=1e-4)
    assert answers["valid"].numpy().tolist() == [True] * len(encoded) + [False]
    for values in answers.values():
        assert np.isfinite(np.asarray(values, float)).all()


def test_graph_has_no_op_that_only_python_runs(tiny_export):
    graph = meta_graph(tiny_export).graph_def
    functions = {function.signature.name for function in graph.library.function}
    nodes = list(graph.node) + [n for f in graph.library.function for n in f.node_def]
    ops = {node.op for node in nodes} - functions
    assert {"DecodeJpeg", "IgnoreErrorsDataset", "Conv2D"} <= ops  # the library is looked into
    assert not {op for op in ops if "PyFunc" in op}
    assert all(op_def_registry.get(op) for op in ops)


def test_versions_rise_above_the_largest(small, tmp_path):
    assert export_saved_model(small, tmp_path, BARE) == tmp_path / "1"
    (tmp_path / "7").mkdir()
    (tmp_path / "notes").mkdir()
    assert export_saved_model(small, tmp_path, BARE) == tmp_path / "8"
    assert list(version_folders(tmp_path)) == [1, 7, 8]


def test_failed_export_leaves_nothing(small, tmp_path, monkeypatch):
    def fail(trained, evaluation):
        raise OSError("disk full")

    monkeypatch.setattr(saved_model, "describe", fail)
    with pytest.raises(DataError, match="cannot be written: disk full"):
        export_saved_model(small, tmp_path / "model", BARE)
    assert list((tmp_path / "model").iterdir()) == []


@pytest.mark.slow
def test_exports_at_the_same_time_get_versions_of_their_own(small, tmp_path, monkeypatch):
    # Both have chosen version 1 before either has written it.
    barrier, describe = threading.Barrier(2, timeout=60), saved_model.describe

    def meet(trained, evaluation):
        if not version_folders(tmp_path):
            barrier.wait()
        return describe(trained, evaluation)

    monkeypatch.setattr(saved_model, "describe", meet)
    paths = []
    lock = threading.Lock()

    def run():
        path = export_saved_model(small, tmp_path, BARE)
        with lock:
            paths.append(path)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path.name for path in paths) == ["1", "2"]
    assert all((path / "saved_model.pb").is_file() for path in paths)


def test_directory_that_is_a_file_is_refused(small, tmp_path):
    (tmp_path / "model").write_text("")
    with pytest.raises(DataError, match="is a file"):
        export_saved_model(small, tmp_path / "model", BARE)

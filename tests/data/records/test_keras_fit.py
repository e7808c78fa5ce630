import keras
import numpy as np
import pytest

import tfac
from tfac.attributes import ATTRIBUTES
from tfac.data.records.info import read_info
from tfac.data.records.pipeline import evaluation_dataset
from tfac.errors import ConfigError, DataError
from tfac.losses import BinaryCrossentropy

SIZE = (16, 16)


def test_what_fit_gets_is_what_the_records_hold(tiny_records):
    info = read_info(tiny_records)
    batches = evaluation_dataset(info, "train", image_size=SIZE, batch_size=5)
    given = tfac.data.load(tiny_records, "train", image_size=SIZE, batch_size=5)
    named = tfac.data.load(
        tiny_records, "train", image_size=SIZE, batch_size=5, outputs=["scores", "landmarks"]
    )
    assert given.cardinality() == batches.cardinality()
    for batch, (images, labels, weights), (_, targets, masks) in zip(
        *(dataset.as_numpy_iterator() for dataset in (batches, given, named)), strict=True
    ):
        for one, other in (
            (images, batch["images"]),
            (labels, batch["labels"]),
            (weights, batch["label_mask"]),
            (targets["scores"], labels),
            (masks["scores"], weights),
            (targets["landmarks"], batch["landmarks"]),
            (masks["landmarks"], batch["landmarks_valid"]),
        ):
            np.testing.assert_array_equal(one, other)


def test_shuffled_pictures_are_all_there_in_another_order_each_epoch(tiny_records):
    dataset = tfac.data.load(
        tiny_records, "train", image_size=SIZE, batch_size=24, shuffle=True, seed=1
    )
    first, second = (next(dataset.as_numpy_iterator())[0].sum(axis=(1, 2, 3)) for _ in range(2))
    assert first.tolist() != second.tolist() and sorted(first) == sorted(second)


def test_keras_fits_a_network_and_unknown_labels_teach_nothing(tiny_records):
    dataset = tfac.data.load(tiny_records, "train", image_size=SIZE, batch_size=8)
    images = keras.Input((*SIZE, 3), dtype="uint8")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(images))
    model = keras.Model(images, keras.layers.Dense(40, kernel_initializer="zeros")(pooled))
    loss = BinaryCrossentropy().per_element
    model.compile("sgd", loss, weighted_metrics=[keras.metrics.AUC(from_logits=True)])
    known = np.mean([weights.mean() for _, _, weights in dataset.as_numpy_iterator()])
    assert model.evaluate(dataset, verbose=0)[0] == pytest.approx(known * np.log(2), rel=1e-4)
    model.fit(dataset.map(lambda *batch: (*batch[:2], 0 * batch[2])), verbose=0)
    assert not np.any(model.get_weights()[0])
    losses = model.fit(dataset, epochs=2, verbose=0).history["loss"]
    assert losses[1] < losses[0] < known * np.log(2)


def test_keras_fits_saves_and_loads_a_network_of_tfac(tiny_records, tmp_path):
    part_groups = {"upper": ATTRIBUTES[:20], "lower": ATTRIBUTES[20:]}
    model = tfac.models.create_model("mgg_net", part_groups=part_groups, attention_width=2)
    outputs = ["scores", "base_scores"]
    dataset = tfac.data.load(
        tiny_records, "train", image_size=(32, 32), batch_size=8, outputs=outputs
    )
    model.compile("sgd", dict.fromkeys(outputs, BinaryCrossentropy().per_element))
    assert np.isfinite(model.fit(dataset.take(1), verbose=0).history["loss"]).all()
    model.save(tmp_path / "model.keras")
    restored = tfac.load_keras(tmp_path / "model.keras")
    images = np.zeros((1, 32, 32, 3), np.uint8)
    np.testing.assert_array_equal(*(one(images)["scores"] for one in (model, restored)))
    lines = []
    restored.summary(print_fn=lambda line, **_: lines.append(line))
    assert "P3_graph" in lines[0] and "unbuilt" not in lines[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "nothing"}, "unknown or empty split"),
        ({"batch_size": 0}, "at least 1"),
        ({"outputs": ["logits"]}, "outputs: expected landmarks"),
    ],
)
def test_unusable_arguments_are_refused(tiny_records, arguments, message):
    with pytest.raises(ConfigError, match=message):
        tfac.data.load(tiny_records, **{"split": "train", **arguments})


def test_missing_data_set_is_refused(tmp_path):
    with pytest.raises(DataError):
        tfac.data.load(tmp_path, "train")

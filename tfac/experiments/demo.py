"""A small DMM-CNN for the synthetic faces, trained in about 3 minutes on 2 cores.

Paper: Mao et al., "Deep Multi-task Multi-label CNN for Effective Facial Attribute Classification",
with a ResNet18 backbone and the departures of dmm_cnn_celeba.
Command:
    tfac-train --experiment=demo --data_dir=demo/data --workdir=demo/run
Expected: about 95 % mean accuracy and 89 % balanced accuracy on the test split.
"""

from tfac.training.config import TrainConfig

CONFIG = TrainConfig(
    model="dmm_cnn",
    backbone="resnet18",
    image_size=(64, 64),
    output_stride=16,
    branch_normalization=True,
    attribute_loss="binary_crossentropy",
    weighting="uniform",
    thresholds="exact",
    epochs=3,
    updates_per_epoch=2,
    batch_size=64,
    optimizer="adamw",
    learning_rate=0.001,
    weight_decay=0.05,
    schedule="cosine",
    warmup_epochs=0.25,
    cache="memory",
)

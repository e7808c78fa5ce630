"""A small DMM-CNN for the synthetic faces, trained in about 3 minutes on 2 cores.

Paper: Mao et al., "Deep Multi-task Multi-label CNN for Effective Facial Attribute Classification",
with a ResNet18 backbone, normalised branches and cross-entropy; its dynamic weights (rescaled to
mean 1) and adaptive thresholds are on, so that the curves show them.
Command:
    tfac-train --experiment=demo --data_dir=demo/data --workdir=demo/run
Expected: @@DEMO@@
"""

from tfac.training.config import TrainConfig

CONFIG = TrainConfig(
    model="dmm_cnn",
    backbone="resnet18",
    image_size=(64, 64),
    branch_normalization=True,
    attribute_loss="binary_crossentropy",
    weighting="dynamic_mean_one",
    thresholds="adaptive",
    epochs=4,
    batch_size=64,
    optimizer="adamw",
    learning_rate=0.001,
    weight_decay=0.05,
    schedule="cosine",
    warmup_epochs=0.25,
    cache="memory",
)

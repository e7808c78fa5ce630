"""A small DMM-CNN for the synthetic faces, trained in about 3 minutes on 2 cores.

Paper: Mao et al., "Deep Multi-task Multi-label CNN for Effective Facial Attribute Classification",
with a ResNet18 backbone.
Command:
    tfac-train --experiment=demo --data_dir=data/synthetic_faces --workdir=runs/demo
Expected: see the README's demo.
"""

from tfac.training.config import TrainConfig

CONFIG = TrainConfig(
    model="dmm_cnn",
    backbone="resnet18",
    image_size=(64, 64),
    branch_normalization=True,
    weighting="dynamic_mean_one",
    thresholds="adaptive",
    epochs=4,
    updates_per_epoch=2,
    batch_size=64,
    optimizer="sgd",
    learning_rate=0.02,
    gradient_clip_norm=1.0,
    schedule="cosine",
    cache="memory",
)

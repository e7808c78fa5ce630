"""A small DMM-CNN for the synthetic faces, trained in about 3 minutes on 2 cores.

Paper: Mao et al., "Deep Multi-task Multi-label CNN for Effective Facial Attribute Classification",
with a ResNet18 backbone and the departures of dmm_cnn_celeba.
Command:
    tfac-train --experiment=demo --data_dir=demo/data --workdir=demo/run
Expected: about 95 % mean accuracy and 88 % balanced accuracy on the test split.
"""

from tfac.training.config import TrainConfig

CONFIG = TrainConfig(  # in all else the defaults, which are dmm_cnn_celeba's
    model="dmm_cnn",
    backbone="resnet18",
    image_size=(64, 64),
    output_stride=16,
    epochs=3,
    updates_per_epoch=2,
    cache="memory",
)

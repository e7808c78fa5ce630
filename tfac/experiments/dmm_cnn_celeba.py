"""DMM-CNN on CelebA, from scratch, with the departures that training from scratch needs.

Paper: Mao et al., "Deep Multi-task Multi-label CNN for Effective Facial Attribute Classification".
Command:
    tfac-train --experiment=dmm_cnn_celeba --data_dir=data/celeba --workdir=runs/dmm_cnn_celeba
Expected: not measured on the whole of CelebA; the paper reports 91.70 % mean accuracy.
"""

from tfac.training.config import TrainConfig

CONFIG = TrainConfig(
    model="dmm_cnn",
    branch_normalization=True,
    weighting="dynamic_mean_one",
    thresholds="adaptive",
    optimizer="sgd",
    learning_rate=0.02,
    gradient_clip_norm=1.0,
    weight_decay=5e-3,
    schedule="cosine",
)

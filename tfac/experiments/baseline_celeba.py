"""The plain network on CelebA: what a method must beat with the same budget.

Paper: "Baseline" of table 1 in Mao et al., "Deep Multi-task Multi-label CNN for Effective Facial
Attribute Classification", here with binary cross-entropy.
Command:
    tfac-train --experiment=baseline_celeba --data_dir=data/celeba --workdir=runs/baseline_celeba
Expected: see the README's table; the whole of CelebA has not been run.
"""

from tfac.training.config import TrainConfig

CONFIG = TrainConfig(  # in all else the defaults, which are dmm_cnn_celeba's
    model="baseline",
    attribute_grouping=False,
    landmarks=False,
    branch_normalization=False,
    branch_shortcut=False,
)

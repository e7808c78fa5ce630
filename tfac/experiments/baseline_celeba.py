"""The plain network on CelebA: what a method must beat with the same budget.

Paper: "Baseline" of table 1 in Mao et al., "Deep Multi-task Multi-label CNN for Effective Facial
Attribute Classification", here with binary cross-entropy.
Command:
    tfac-train --experiment=baseline_celeba --data_dir=data/celeba --workdir=runs/baseline_celeba
Expected: see the README's table; the whole of CelebA has not been run.
"""

from tfac.training.config import TrainConfig

CONFIG = TrainConfig(
    model="baseline",
    attribute_grouping=False,
    landmarks=False,
    attribute_loss="binary_crossentropy",
    weighting="uniform",
    thresholds="exact",
    optimizer="sgd",
    learning_rate=0.0025,  # of the sum over 40 attributes, Eq. 3; 0.1 of their mean
    weight_decay=0.2,  # decoupled; L2 of 5e-4 on the mean loss at momentum 0.9
    schedule="cosine",
)

"""DMM-CNN on CelebA exactly as the paper prints it.

Paper: Mao et al., "Deep Multi-task Multi-label CNN for Effective Facial Attribute Classification",
sections 3.3 and 4.1. What the paper leaves open: the picture size (224 taken), the backbone's start
(ImageNet taken), momentum (none taken), and when the validation loss "stops decreasing" (no lower
loss for an epoch taken).
Command:
    tfac-train --experiment=dmm_cnn_as_printed --data_dir=data/celeba --workdir=runs/as_printed
Expected: the paper reports 91.70 % mean accuracy on CelebA's test split. From random weights
the loss is soon not finite (README, "Results").
"""

from tfac.training.config import TrainConfig

CONFIG = TrainConfig(
    model="dmm_cnn",
    backbone="resnet50",
    backbone_weights="imagenet",
    image_size=(224, 224),
    branch_normalization=False,
    branch_shortcut=False,
    attribute_loss="squared_error",
    beta=0.5,
    weighting="dynamic_raw",
    thresholds="adaptive",
    gamma=0.01,
    epochs=15,
    batch_size=64,
    optimizer="sgd",
    learning_rate=0.001,
    momentum=0.0,
    weight_decay=0.0,
    schedule="plateau",
    warmup_epochs=0.0,
    flip=False,
)

"""DMM-CNN on CelebA from scratch, with the departures that training from scratch needs.

Paper: Mao et al., "Deep Multi-task Multi-label CNN for Effective Facial Attribute Classification".
Departures: normalised branches whose heads also read the map's mean, binary cross-entropy, AdamW
with a warm-up and a cosine, mirrored pictures, thresholds by one sort (README, "Readings and
departures" and "Results").
Command:
    tfac-train --experiment=dmm_cnn_celeba --data_dir=data/celeba --workdir=runs/dmm_cnn_celeba
Expected: see the README's table; the whole of CelebA has not been run.
"""

from tfac.training.config import TrainConfig

CONFIG = TrainConfig(model="dmm_cnn")  # the defaults of tfac-train

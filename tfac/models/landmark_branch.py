"""The branch that predicts landmarks: DMM-CNN's, which LGA-Net has too."""

from tfac.layers.pyramid_branch import PyramidBranch

# Where the normalised features start (see `PyramidBranch`), found on CelebA at 64 pixels: at 1 the
# landmark head's noise kept the shared features from learning anything else.
_FEATURE_SCALE = 0.03
# Where the normalised branch predicts every landmark before training; the paper names no start.
_PICTURE_CENTRE = 0.5


def create_landmark_branch(num_landmarks: int, normalization: bool, dtype) -> PyramidBranch:
    """Returns the branch from feature maps [B, h, w, C] to coordinates [B, 2 K].

    Args:
        num_landmarks: K.
        normalization: see `tfac.layers.PyramidBranch`.
        dtype: Keras dtype policy.

    Reference:
        Mao et al. (DMM-CNN), section 3.2.3.
    """
    return PyramidBranch(
        levels=(1,),
        hidden_units=(1024,),
        num_outputs=2 * num_landmarks,
        normalization=normalization,
        feature_scale=_FEATURE_SCALE,
        head_bias=_PICTURE_CENTRE if normalization else 0.0,
        name="landmark_branch",
        dtype=dtype,
    )

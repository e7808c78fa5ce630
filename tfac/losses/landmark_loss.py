"""The landmark loss."""

from keras import ops


def landmark_squared_error(landmarks, predicted):
    """Returns the squared distance [B] between landmarks and predictions, both [B, K, 2].

    The sum over all 2 K coordinates, in [0, 1] of the picture: Eq. 1 of Mao et al. (DMM-CNN) before
    its mean over pictures.
    """
    return ops.sum(ops.square(predicted - landmarks), axis=(1, 2))

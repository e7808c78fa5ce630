"""The normalisation of images that every model carries inside itself."""

import keras

# ImageNet's mean and standard deviation, which KerasHub's presets were trained with.
IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


def create_image_normalization() -> keras.layers.Layer:
    """Returns a layer from images in [0, 255] (uint8 or float) to zero mean and unit variance.

    It computes in float32 whatever the model's precision, since bfloat16 cannot hold the steps of
    a picture between 128 and 255 after a shift.
    """
    layer = keras.layers.Rescaling(
        scale=[1 / (255 * std) for std in IMAGE_STD],
        offset=[-mean / std for mean, std in zip(IMAGE_MEAN, IMAGE_STD, strict=True)],
        dtype="float32",
        name="image_normalization",
    )
    layer.build((None, None, None, 3))  # or a summary calls it unbuilt
    return layer

"""The one feature specification of a record: every preparation writes it, the input parses it.

| feature | type | meaning |
|---|---|---|
| image | encoded JPEG or PNG | the picture, byte for byte as it was received |
| key | string | what the picture is called in its source, unique in the data set |
| size | int32 [2] | height and width of the picture, pixels |
| labels | uint8 [A] | 1 where the attribute is shown, in the order of the metadata's `attributes` |
| label_mask | bool [A] | False where nobody annotated the attribute; the label is then 0 |
| landmarks | float32 [K, 2] | x and y in [0, 1] of the picture's width and height |
| landmarks_valid | bool | False where the landmarks are unknown; they are then 0.5 |
| landmarks_source | int64 | optional: where the landmarks come from, an index of LANDMARK_SOURCES |

The metadata (`metadata.json` beside the records) carry `attributes` (names in order),
`landmark_scheme` (a name in `tfac.landmarks.LANDMARK_SCHEMES`) and `attribute_groups`
(`tfac.attributes.AttributeGroups`; null for the default).
"""

from collections.abc import Sequence

import numpy as np
import tensorflow_datasets as tfds

from tfac.attributes import AttributeGroups
from tfac.landmarks import LandmarkScheme

# "none": no landmarks; "detected": predicted from the face that a detector found; "assumed":
# predicted from where aligned pictures have their face, none being found; "annotated": given by the
# source.
LANDMARK_SOURCES = ("none", "detected", "assumed", "annotated")


def record_features(
    attributes: Sequence[str], scheme: LandmarkScheme, *, with_landmarks_source: bool = False
) -> tfds.features.FeaturesDict:
    """Returns the TFDS features of a record with A attributes and the K landmarks of `scheme`.

    `with_landmarks_source` adds the optional feature of that name.
    """
    num_attributes, num_landmarks = len(attributes), scheme.num_landmarks
    source = {"landmarks_source": tfds.features.ClassLabel(names=list(LANDMARK_SOURCES))}
    return tfds.features.FeaturesDict(
        {
            **(source if with_landmarks_source else {}),
            "image": tfds.features.Image(shape=(None, None, 3)),
            "key": tfds.features.Text(),
            "size": tfds.features.Tensor(shape=(2,), dtype=np.int32),
            "labels": tfds.features.Tensor(shape=(num_attributes,), dtype=np.uint8),
            "label_mask": tfds.features.Tensor(shape=(num_attributes,), dtype=np.bool_),
            "landmarks": tfds.features.Tensor(shape=(num_landmarks, 2), dtype=np.float32),
            "landmarks_valid": tfds.features.Scalar(dtype=np.bool_),
        }
    )


def record_metadata(
    attributes: Sequence[str], scheme: LandmarkScheme, groups: AttributeGroups | None = None
) -> tfds.core.MetadataDict:
    """Returns the metadata that every preparation stores beside its records."""
    return tfds.core.MetadataDict(
        attributes=list(attributes),
        landmark_scheme=scheme.name,
        attribute_groups=groups and groups.to_dict(),
    )

"""What can be wrong with a data set."""

from collections.abc import Mapping

# Kind of problem to what it is.
PROBLEMS: Mapping[str, str] = {
    "duplicates": "pictures that are byte for byte another's copy",
    "duplicates_across_splits": "copies in two splits",
    "label_conflicts": "copies with other labels",
    "near_duplicates": "pairs of pictures that are nearly the same",
    "near_duplicates_across_splits": "such pairs in two splits",
    "blank": "pictures of one colour",
    "tiny": "pictures with a side shorter than min_side",
    "drift": "attributes whose frequency differs between splits",
    "schema": "what is not as the schema says",
}

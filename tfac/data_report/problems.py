"""What can be wrong with a data set."""

from collections.abc import Mapping

# Kind of problem to what it is.
PROBLEMS: Mapping[str, str] = {
    "duplicates": "pictures that are byte for byte another's copy",
    "duplicates_across_splits": "copies in two splits",
    "label_conflicts": "copies with other labels",
    "contradictions": "pictures whose labels contradict themselves",
    "one_class": "attributes that no picture of a split shows, or every one, or none has labels of",
    "small_splits": "splits of fewer than 100 pictures, in which a rate is uncertain by 10 points",
    "near_duplicates": "pairs of pictures that are nearly the same",
    "near_duplicates_across_splits": "such pairs in two splits",
    "near_label_conflicts": "such pairs with other labels, of which one may be wrong",
    "blank": "pictures of one colour",
    "tiny": "pictures with a side shorter than min_side",
    "drift": "attributes whose frequency differs between splits",
    "schema": "what is not as the schema says",
}

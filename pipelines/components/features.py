"""Names that components share: splits, features of the statistics, slices of the evaluation."""

TRAIN, VALIDATION, TEST = "train", "validation", "test"
REQUIRED_SPLITS = (TRAIN, VALIDATION)  # nothing can be trained and chosen without these

# Attributes by whose values metrics are told apart; several are crossed.
SLICES: tuple[tuple[str, ...], ...] = (("Male",), ("Young",), ("Male", "Young"))

BEAM_RUNNER = "DirectRunner"


def label_feature(attribute: str) -> str:
    """Returns what an attribute is called in statistics, schema and anomalies."""
    return f"labels/{attribute}"

"""Export of trained models for serving: SavedModels and what travels with them."""

from tfac.export.saved_model import (
    ATTRIBUTES_FILE,
    EXTRA_ASSETS,
    METADATA_FILE,
    METRICS_FILE,
    ExportOptions,
    describe,
    export_saved_model,
)
from tfac.export.warmup import WARMUP_BATCH_SIZES, WARMUP_FILE
from tfac.inference.signatures import INPUT_SIZES

__all__ = [
    "ATTRIBUTES_FILE",
    "EXTRA_ASSETS",
    "INPUT_SIZES",
    "METADATA_FILE",
    "METRICS_FILE",
    "WARMUP_BATCH_SIZES",
    "WARMUP_FILE",
    "ExportOptions",
    "describe",
    "export_saved_model",
]

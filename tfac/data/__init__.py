"""Data: the readers of other people's layouts, prepared data sets, and tf.data input."""

from typing import TYPE_CHECKING

from tfac.lazy import lazily

if TYPE_CHECKING:
    from tfac.data.records.fitting import load
    from tfac.data.records.info import read_info
    from tfac.data.records.pipeline import evaluation_dataset, train_dataset

__all__ = ["evaluation_dataset", "load", "read_info", "train_dataset"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        **dict.fromkeys(__all__, "tfac.data.records.pipeline"),
        "load": "tfac.data.records.fitting",
        "read_info": "tfac.data.records.info",
    },
)

"""The errors tfac raises for input it cannot use; all are ``TfacError``.

- ``TfacError``: base class; catching it catches every refusal made by tfac itself.
    - ``DataError``: a picture, an annotation file, a record or a data set is missing or broken. The
      message names the file (and line or record), what was expected and what was received.
    - ``ConfigError``: a flag, an experiment or a combination of options cannot be used.
    - ``TrainingError``: training cannot go on, for example because a loss became NaN.
"""


class TfacError(Exception):
    """Base class of every error raised on purpose by tfac."""


class DataError(TfacError, ValueError):
    """A picture, annotation, record or data set is missing or broken."""


class ConfigError(TfacError, ValueError):
    """A flag, an experiment or a combination of options cannot be used."""


class TrainingError(TfacError, RuntimeError):
    """Training cannot go on."""

"""Exported models over the network: clients of a server, and `tfac-serve`'s parts.

::

    with tfac.serving.Client("127.0.0.1:8500", model="dmm_cnn") as client:
        for prediction in client(["face.jpg", "other.png"]):
            print(prediction.shown)
"""

from typing import TYPE_CHECKING

from tfac.lazy import lazily

if TYPE_CHECKING:
    from tfac.serving.client.answers import Explanation
    from tfac.serving.client.client import AsyncClient, Client
    from tfac.serving.client.requests import VersionStatus

__all__ = ["AsyncClient", "Client", "Explanation", "VersionStatus"]

__getattr__, __dir__ = lazily(__name__, dict.fromkeys(__all__, "tfac.serving.client.client"))

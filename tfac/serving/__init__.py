"""Exported models over the network: clients of a server, and `tfac-serve`'s parts.

::

    with tfac.serving.Client("127.0.0.1:8500", model="dmm_cnn") as client:
        for prediction in client(["face.jpg", "other.png"]):
            print(prediction.shown)
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfac.serving.client.answers import Explanation
    from tfac.serving.client.client import AsyncClient, Client
    from tfac.serving.client.requests import VersionStatus

__all__ = ["AsyncClient", "Client", "Explanation", "VersionStatus"]


def __getattr__(name: str):
    """Imports the clients when they are first asked for: the server does without."""
    if name in __all__:
        from tfac.serving.client import client

        return getattr(client, name)
    raise AttributeError(f"module 'tfac.serving' has no attribute {name!r}")

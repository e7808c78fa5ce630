"""A page to look at what served models say about photos: ``tfac-serve --page``."""

from tfac.serving.page.routes import page_routes

__all__ = ["page_routes"]

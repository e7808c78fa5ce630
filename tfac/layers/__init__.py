"""Keras layers; pure ``keras.ops``, so they run on every Keras backend."""

from tfac.layers.pyramid_branch import PyramidBranch
from tfac.layers.spatial_pyramid_pooling import SpatialPyramidPooling

__all__ = ["PyramidBranch", "SpatialPyramidPooling"]

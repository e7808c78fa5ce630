"""Keras layers; pure ``keras.ops``, so they run on every Keras backend."""

from tfac.layers.conv_block import ConvBlock
from tfac.layers.fully_connected import FullyConnected
from tfac.layers.graph_correlation import GraphCorrelation
from tfac.layers.group_attention import GroupAttention
from tfac.layers.group_head import GroupHead
from tfac.layers.pyramid_branch import PyramidBranch
from tfac.layers.spatial_pyramid_pooling import SpatialPyramidPooling

__all__ = [
    "ConvBlock",
    "FullyConnected",
    "GraphCorrelation",
    "GroupAttention",
    "GroupHead",
    "PyramidBranch",
    "SpatialPyramidPooling",
]

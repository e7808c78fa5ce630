"""The components by TFX's names, each a function with typed artifacts in and out."""

"""The TFX-style pipeline: from pictures to a blessed, pushed model.

``python -m pipelines.run --config=synthetic`` runs it here; `pipelines.pipeline` is its graph.
"""

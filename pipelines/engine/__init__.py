"""The machinery of pipelines: components, their graph, records, cache and locks."""

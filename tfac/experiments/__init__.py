"""The papers' experiments: what each is, its recipe, its runs and their report.

- `variants`: every experiment, one entry each. A new one is one more entry.
- `protocols`: the recipes (sizes, epochs, rates), for each family of experiments.
- `registry`: an experiment under a protocol as a `TrainConfig`.
- `tables`: the papers' tables with the papers' figures.
- `plan`, `runner`: which runs are due, and running them one after another.
- `scoring`, `cost`: what a finished run is worth, and what its network costs.
- `results`, `figures`, `report`: all runs together as a page with tables and pictures.
"""

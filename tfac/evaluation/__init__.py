"""Evaluation: metrics by attribute, reports and charts."""

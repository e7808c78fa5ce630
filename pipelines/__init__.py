"""The TFX-style pipeline: not written yet; see CHANGELOG.md."""

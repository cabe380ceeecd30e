"""Adapters, one file per model family. Frameworks are imported only when a model is loaded."""

"""panoptic-bench: many panoptic segmentation models, one evaluator, numbers that hold."""

__version__ = "0.1.0"

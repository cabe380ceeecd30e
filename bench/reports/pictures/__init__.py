"""Pictures of images with segments drawn over them."""

from bench.reports.pictures.layout import write
from bench.reports.pictures.overlays import predicted_page

__all__ = ["predicted_page", "write"]

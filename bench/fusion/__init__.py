"""Raw outputs of a network → a panoptic segmentation, by a named rule."""

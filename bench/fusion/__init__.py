"""Panoptic post-processing: raw outputs of a network → Panoptic, by a named rule."""

"""minicity's world in pictures of other kinds and sizes, labelled and laid out like COCO panoptic.

The same rules as minicity's: integers, + - * / and square roots alone, so that pixels depend on the seed alone.
There is no training split: models come from elsewhere, as they do for other data.
"""

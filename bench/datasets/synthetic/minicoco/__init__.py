"""minicoco: images of minicity's world of other kinds and sizes, in the format of COCO panoptic.

The rules are those of minicity: integers, + - * / and square roots alone, so that pixels depend on the seed alone.
"""

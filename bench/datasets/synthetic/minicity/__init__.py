"""minicity: procedural street scenes in the layout of Cityscapes.

Every pixel depends on the seed alone, on every machine: shapes are rasterised in integers, floats go only through + - *
/ and are rounded, and random numbers come only from `Generator.integers` and `.random`.
"""

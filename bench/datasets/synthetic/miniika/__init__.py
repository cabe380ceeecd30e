"""miniika: minicity's world through another camera and in other towns, in the format of ika's data set.

The rules are those of minicity: integers, + - * / and square roots alone, so that pixels depend on the seed alone.
"""

"""minicity's world through another camera, in other towns, labelled and laid out like ika's data set.

The same rules as minicity's: integers, + - * / and square roots alone, so that pixels depend on the seed alone.
"""

"""An EfficientPS-style network (Mohan and Valada, arXiv 2004.02307), implemented from the paper."""

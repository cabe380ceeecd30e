"""A network in the manner of EfficientPS (Mohan and Valada, arXiv 2004.02307), written from the paper."""

"""One file a model family; each imports its framework only when a model is loaded."""

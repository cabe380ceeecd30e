"""Training: how the small models that ship were made, so that anyone can make them again."""

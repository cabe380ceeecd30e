"""Training of models from a recipe (YAML)."""

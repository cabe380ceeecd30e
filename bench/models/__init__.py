"""Models: YAML → ModelSpec → loaded adapter, in this process or in a worker."""

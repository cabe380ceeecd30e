"""A run on disk: written by evaluation, read by everybody."""

"""A run on disk: image lines, writer, reader, shards, predictions, provenance."""

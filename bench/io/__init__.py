"""Bytes ↔ values: bounded reading, YAML, JSON, COCO, PNG, zip, hashes."""

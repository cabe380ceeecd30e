"""File formats: bounded reading, YAML, JSON, COCO, PNG, zip, hashes."""

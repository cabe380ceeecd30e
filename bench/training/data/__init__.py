"""Training data: decoding, augmentation, batches."""

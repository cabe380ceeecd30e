"""Training samples: decoded, augmented, batched."""

"""Model families that can be trained, one module each."""

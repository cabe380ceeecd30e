"""What training must know of an architecture: one small file each."""

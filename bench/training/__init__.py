"""Recipe → weights."""

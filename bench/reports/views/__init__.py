"""What a report shows, as plain values."""

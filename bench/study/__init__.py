"""A study: trainings that differ in one thing each, what they score, and which differences are there."""

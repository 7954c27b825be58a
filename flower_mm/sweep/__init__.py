"""Many trainings: compare configs and seeds, search for settings."""

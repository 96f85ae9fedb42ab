"""Reading recorded traces."""

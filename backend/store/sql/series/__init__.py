"""What is counted or recorded over time."""

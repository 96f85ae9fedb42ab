"""What a person types, beside ``run``."""

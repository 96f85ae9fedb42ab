"""The bounded queue on disk between counting and shipping."""

"""From records to numbered batches."""

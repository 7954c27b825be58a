"""What a run was worth: figures, pictures, the report."""

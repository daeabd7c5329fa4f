"""A run's model elsewhere: other formats, verified, and predictions."""

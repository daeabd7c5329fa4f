"""A report's words and tables."""

"""What finished runs show: effects, their uncertainty, and verdicts."""

"""What the programs share; nothing here is run by users."""

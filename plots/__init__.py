"""Figures: functions that draw on matplotlib axes and return them."""

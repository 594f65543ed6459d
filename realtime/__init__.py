"""Decode live: LSL streams -> decisions."""

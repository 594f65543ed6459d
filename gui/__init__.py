"""Qt, here and nowhere else: feed -> windows."""

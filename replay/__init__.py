"""An amplifier made of files: recording -> LSL streams."""

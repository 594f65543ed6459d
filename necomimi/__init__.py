"""What training and real time must agree on: records, streams, preprocessing, encoders, decoder."""

__version__ = "0.1.0"

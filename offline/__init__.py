"""Train and judge: recordings, pictures -> decoders, tables."""

"""Recurrent encoders and decoders with attention between them, as translation first had it."""

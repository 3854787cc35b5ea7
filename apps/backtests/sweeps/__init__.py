"""Sweeps as batches of durable tasks: asked for, computed in chunks, judged, read."""

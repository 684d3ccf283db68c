"""Memory of a training step: measured, estimated, explained."""

"""Ready-made quantizers, one file per family."""

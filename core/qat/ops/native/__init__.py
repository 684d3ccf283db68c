"""The native implementation of the ops: found, built, loaded, registered, chosen."""

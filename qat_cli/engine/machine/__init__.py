"""Devices, backends, processes and random states of this machine."""

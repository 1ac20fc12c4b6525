"""Analyses of files without a service: the command `nplmon analyse`."""

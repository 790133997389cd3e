"""Drop-ins: torch's own attention function and module in name and meaning, computed by `attend`."""

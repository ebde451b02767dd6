"""The command line: Typer wiring."""

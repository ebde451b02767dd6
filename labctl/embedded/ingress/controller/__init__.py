"""The controller: watches objects, compiles, reloads, and tells the cluster about it."""

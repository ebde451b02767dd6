"""The data plane: executes a routing table as nginx and the controller's Lua code would."""

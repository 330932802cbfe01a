"""The proxy between a chat client and its server, which sends old turns on as faded pages."""

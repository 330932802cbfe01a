"""Over HTTP: the proxy that makes pages of old turns."""

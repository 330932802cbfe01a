"""What stands between an agent and its provider: every byte passes, and each request is accounted for."""

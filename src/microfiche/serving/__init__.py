"""What Microfiche offers to other programs while it runs: recall of what was drawn, by MCP."""

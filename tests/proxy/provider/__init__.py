"""A stand-in for the vendors' servers, on this machine, for tests and benchmarks: it speaks Messages, Responses, Chat
Completions and Gemini, keeps a prompt cache, checks what the vendors check, bills, and records every byte."""

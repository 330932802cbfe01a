"""The published family: views, SAM, CLIP, the model, its checkpoint files and adapters."""

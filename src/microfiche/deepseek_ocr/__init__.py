"""The published DeepSeek-OCR model: views, SAM, CLIP, the model, its checkpoint files, and adapters."""

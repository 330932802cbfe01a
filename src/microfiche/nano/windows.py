from microfiche.nano.encoder import PATCHES, WindowBlock, to_windows

__all__ = ["PATCHES", "WindowBlock", "to_windows"]

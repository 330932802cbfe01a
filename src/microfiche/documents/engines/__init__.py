"""The engines that can read a page."""

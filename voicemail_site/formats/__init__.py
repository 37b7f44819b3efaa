"""How dates and times are written, for FORMAT_MODULE_PATH."""

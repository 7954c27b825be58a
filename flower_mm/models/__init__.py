"""What MMPretrain lacks: networks of timm, memory format, precision."""

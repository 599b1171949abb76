"""What files are worth: judged, drawn, written down, and where an int8 one loses."""

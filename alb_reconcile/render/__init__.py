"""What users see. Nothing outside of this folder writes to the terminal."""

"""Pictures: photographs, drawings and scans of any size and format, brought to one size."""

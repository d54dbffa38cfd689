"""What a plan is printed as, one module per format. None of them computes anything but positions."""

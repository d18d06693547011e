"""The pack format: metadata as a small file to be sent, and back."""

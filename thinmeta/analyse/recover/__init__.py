"""What is left on a metadata device: its blocks classified, older states, lost subtrees."""

"""What the study's containers do, by image name."""

"""The programs of busybox-like images, each honest about the options it knows."""

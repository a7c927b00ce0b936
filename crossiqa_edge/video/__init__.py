"""Video: frames with time stamps in, a score for each out, in real time."""

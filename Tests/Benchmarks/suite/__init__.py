"""What `run` is made of: building, starting servers, measuring, judging, printing."""

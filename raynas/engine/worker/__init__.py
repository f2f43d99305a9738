"""What runs on a worker: the trainable, its watchdog and limits, and what a worker imports beforehand."""

"""The I/O shell around the core: kopf wakes a queue, the queue reconciles one object at a time, the core decides."""

"""Early stopping: pure rungs (``rungs``), and the thin adapter to Ray Tune (``scheduler``)."""

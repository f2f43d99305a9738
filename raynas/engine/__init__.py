"""Running searches: settings, folders, the driver's session, Ray, resume and results."""

"""From a filled template to a module: which parts are computed, their shapes, and the build."""

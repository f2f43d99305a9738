"""What follows from walking through a template: fillings, the order of holes, operators, sizes."""

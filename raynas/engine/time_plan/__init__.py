"""How a search's time is shared out: measured speeds, the arithmetic of the budget, and the plan that follows."""

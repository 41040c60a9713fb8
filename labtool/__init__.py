"""The lab: builds the nodes of an inventory on this machine, converges, proves and tests them."""

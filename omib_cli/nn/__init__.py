"""What every network here is made of: the batch at hand, and layers that draw from it."""

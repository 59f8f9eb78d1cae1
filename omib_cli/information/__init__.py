"""Estimators of mutual information, and the bounds on beta that follow from them."""

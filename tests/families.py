"""What families have registered for their own classifiers, and test themselves."""

ARCHITECTURES = {"comet", "protopnet", "xnn"}
EXPLAINERS = {"prototypes", "selection", "xnn"}

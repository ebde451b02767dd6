"""Resources of CustomResourceDefinitions."""

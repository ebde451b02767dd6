"""The frozen vocabulary of labctl: values that several rooms of the house share. Standard library only."""

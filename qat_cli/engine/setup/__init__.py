"""From a recipe to data, model and step."""

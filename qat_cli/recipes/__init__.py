"""Recipes: their schema, where they are, loading and changing them."""

from qat_cli.recipes.loading import changed as changed
from qat_cli.recipes.loading import dump_recipe as dump_recipe
from qat_cli.recipes.loading import load_recipe as load_recipe
from qat_cli.recipes.loading import recipe_from_tree as recipe_from_tree
from qat_cli.recipes.location import list_recipes as list_recipes
from qat_cli.recipes.location import recipe_path as recipe_path
from qat_cli.recipes.problems import InvalidRecipe as InvalidRecipe
from qat_cli.recipes.rules import graph_rules as graph_rules
from qat_cli.recipes.schema import Recipe as Recipe

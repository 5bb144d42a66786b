"""The commands of ``IIS_CONTEXT``: one module for each kind, one way for all of them."""

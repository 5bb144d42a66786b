"""Draws docs/images/single_cell_screening_no_ai.png: what is kept of a field, what is left out, and some crops."""

from screened_cells import draw_screening

if __name__ == "__main__":
    draw_screening("single_cell_screening_no_ai", "acquisition.time_plan.loops=1")

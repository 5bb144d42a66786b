"""Draws docs/images/single_cell_screening.png: what is kept of a field, what is left out, and crops of two channels."""

from screened_cells import draw_screening

if __name__ == "__main__":
    draw_screening("single_cell_screening")

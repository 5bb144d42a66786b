"""Makes the README's picture of a demo run: ``python tools/readme_picture.py RUN_FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

TARGET = Path(__file__).resolve().parent.parent / "docs" / "images" / "demo.png"
SIDE_PX = 640
GAP_PX = 10
COLUMNS = 4
SHEET_COLUMNS = 8


def main(run: Path) -> None:
    """Put a part of the first field and some of the single cells side by side."""
    pictures = run / "pictures"
    field = Image.open(min(pictures.glob("t*.png"))).crop((0, 0, SIDE_PX, SIDE_PX))
    sheet = Image.open(pictures / "single_cells.png")
    sheet = sheet.crop((0, 0, sheet.width * COLUMNS // SHEET_COLUMNS, sheet.height))
    cells = sheet.resize((round(sheet.width * SIDE_PX / sheet.height), SIDE_PX), Image.Resampling.LANCZOS)
    whole = Image.new("RGB", (SIDE_PX + GAP_PX + cells.width, SIDE_PX), "white")
    whole.paste(field, (0, 0))
    whole.paste(cells, (SIDE_PX + GAP_PX, 0))
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    whole.save(TARGET, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

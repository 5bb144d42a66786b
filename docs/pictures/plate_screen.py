"""Copies the picture of the plate that a run of configs/plate_screen.yaml draws to docs/images/plate_screen.png."""

import shutil

from demo_run import PICTURES, DemoRun

if __name__ == "__main__":
    run = DemoRun.of("plate_screen", "microscope.specimen.write_truth=false")
    shutil.copyfile(run.folder / "plate.png", PICTURES / "plate_screen.png")

"""The command line. Everything heavy is imported when a command needs it: ``--help`` must answer at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="inscoper-mm",
    help="Smart-microscopy scripts on every microscope that Micro-Manager drives.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_STATUS = (
    "Exit status: 0 completed, 1 failed or aborted, 2 invalid input, 3 completed with script or device errors, "
    "130 interrupted."
)

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="The experiment file.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a value of the file, e.g. --set output.directory=D:/runs.",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Folder that gets the run folder (default: the experiment's own)."),
]
Dataset = Annotated[
    Path,
    typer.Argument(
        help="A run folder, an NDTiff data set, a Micro-Manager file set, or a TIFF stack.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    if version:
        from inscoper_mm import __version__

        typer.echo(f"inscoper-mm {__version__}")
        raise typer.Exit()


@app.command(epilog=_STATUS)
def run(
    config: ConfigFile,
    output: Output = None,
    changes: Set = None,
    speed: Annotated[
        float,
        typer.Option(
            metavar="N",
            help="Wait for time points only 1/N of the time. The virtual specimen lives through all of it; refused "
            "without one.",
        ),
    ] = 1.0,
) -> None:
    """Run an experiment. Ctrl-C once ends it after the current event, twice at once; the data are always closed."""
    from inscoper_mm.cli.run import run_command

    raise typer.Exit(run_command(config, output, changes or [], speed))


@app.command(epilog=_STATUS)
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder that gets the run folder.")] = Path(
        "runs"
    ),
) -> None:
    """Screen single cells on Micro-Manager's demo devices with a virtual specimen behind the camera."""
    from inscoper_mm.cli.demo import demo_command

    raise typer.Exit(demo_command(output))


@app.command()
def check(
    config: ConfigFile,
    changes: Set = None,
    load: Annotated[
        bool,
        typer.Option("--load", help="Also initialise the devices (stages may move) and check against them."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check an experiment, its scripts and its microscope configuration without acquiring anything."""
    from inscoper_mm.cli.check import check_command

    raise typer.Exit(check_command(config, changes or [], load, as_json))


@app.command()
def plate(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)],
) -> None:
    """Draw the wells of a screened plate again, also of a run that goes on or was killed: plate.png, plate.csv."""
    from inscoper_mm.cli.plate import plate_command

    raise typer.Exit(plate_command(folder))


@app.command("export-ctc")
def export_ctc(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder with tracks.csv.", show_default=False)
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Gets a folder per position (default: RUN/ctc).")
    ] = None,
    script: Annotated[
        str, typer.Option(help="The script whose labels are tracks.")
    ] = "cell_population_tracking",
) -> None:
    """Write the tracks of a run in the format of the Cell Tracking Challenge: masks and lineage."""
    from inscoper_mm.cli.ctc import ctc_command

    raise typer.Exit(ctc_command(folder, output, script))


@app.command()
def scripts(
    name: Annotated[
        str | None, typer.Argument(help="A script of the library, or the path of a script.")
    ] = None,
    json_schema: Annotated[
        bool, typer.Option("--json-schema", help="Print the JSON Schema of the script's parameters.")
    ] = False,
) -> None:
    """List the script library, or describe one script: what it does and its parameters."""
    from inscoper_mm.cli.show import scripts_command

    raise typer.Exit(scripts_command(name, json_schema))


@app.command()
def devices(
    config: Annotated[
        str,
        typer.Argument(help="A Micro-Manager .cfg, the name of a demo configuration, or an experiment file."),
    ] = "galvo",
    load: Annotated[
        bool,
        typer.Option("--load", help="Also initialise the devices (stages may move) and show their values."),
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Also properties, and what can only be read.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show devices, roles, channels and pixel sizes, and everything that scripts can set, with what it takes.

    Reads the file only, and initialises nothing, unless told to.
    """
    from inscoper_mm.cli.devices import devices_command

    raise typer.Exit(devices_command(config, load, everything, as_json))


@app.command()
def doctor(
    config: Annotated[
        Path | None,
        typer.Argument(
            metavar="CONFIG.yaml",
            help="An experiment: its Micro-Manager folder and its output folder are looked at, too.",
        ),
    ] = None,
    required: Annotated[
        list[str] | None,
        typer.Option(
            "--require",
            metavar="NAME",
            help="Fail where it is missing: TensorFlow, PyTorch, GPU, Cellpose, 'Cellpose models', StarDist, napari, "
            "Micro-Manager. May be given several times.",
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Do not import PyTorch and TensorFlow to see their graphics cards."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Tell versions, graphics card, models, Micro-Manager, memory and disk, and what to put right. Loads no device.

    Exit status: 0 ready, 1 something is missing or broken, 2 the experiment file is wrong.
    """
    from inscoper_mm.cli.doctor import doctor_command

    raise typer.Exit(doctor_command(config, required or [], quick, as_json))


@app.command(epilog=_STATUS)
def replay(
    dataset: Dataset,
    script: Annotated[
        str | None,
        typer.Option(
            help="A script of the recorded run (default: all of them), of the library, or the path of one."
        ),
    ] = None,
    provider: Annotated[str | None, typer.Option(help="Name of the image provider.")] = None,
    process: Annotated[str | None, typer.Option(help="Name of the processing function.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A value of the script, e.g. --set parameters.min_area_um2=20 or policy.place=thread.",
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder that gets the replay's own run folder.")
    ] = Path("runs"),
    compare: Annotated[
        bool | None,
        typer.Option(
            "--compare/--no-compare",
            help="Hold the decisions against those of the run; exit status 1 if they differ. Without either, they "
            "are compared where there is a run, and told.",
            show_default=False,
        ),
    ] = None,
    axes: Annotated[
        str | None,
        typer.Option(
            help="The axes of a TIFF stack that does not name them: TZCYX, or T5ZYX where it is one long row."
        ),
    ] = None,
    pixel_size: Annotated[
        float | None, typer.Option(metavar="UM", min=1e-6, help="The side of a pixel, in um.")
    ] = None,
    z_step: Annotated[
        float | None, typer.Option(metavar="UM", help="The distance of the slices of a stack, in um.")
    ] = None,
    interval: Annotated[
        float | None, typer.Option(metavar="S", min=0, help="The time between time points, in seconds.")
    ] = None,
    planned_as_real: Annotated[
        bool,
        typer.Option(help="Take the planned position for the real one where that was not recorded."),
    ] = False,
) -> None:
    """Run a script on recorded images. Nothing moves: its commands are written down.

    A replay of a run also tells whether the script decides as it did in the run.
    """
    from inscoper_mm.cli.replay import Options, replay_command
    from inscoper_mm.images.recording import Given

    given = Given(axes, pixel_size, z_step, interval, planned_as_real)
    options = Options(script, provider, process, tuple(changes or ()), output, compare, given)
    raise typer.Exit(replay_command(dataset, options))


calibrate = typer.Typer(no_args_is_help=True, help="Measure what a run needs to know about the microscope.")
app.add_typer(calibrate, name="calibrate")


@calibrate.command("pixel-stage")
def calibrate_pixel_stage(
    config: ConfigFile,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The calibration file (default: next to the experiment)."),
    ] = None,
    changes: Set = None,
) -> None:
    """Measure how the camera's pixels lie on the stage: size, rotation, mirroring. The stage moves, and returns.

    The light is that of the experiment's first channel. Any fixed specimen with many small details will do.
    """
    from inscoper_mm.cli.calibrate import pixel_stage_command

    raise typer.Exit(pixel_stage_command(config, output, changes or []))


@calibrate.command("galvo")
def calibrate_galvo(
    config: ConfigFile,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The calibration file (default: next to the experiment)."),
    ] = None,
    grid: Annotated[int, typer.Option(min=3, max=30, help="As many points each way.")] = 7,
    model: Annotated[
        str, typer.Option(help="affine, second_order (for optics that distort), or auto (what fits better).")
    ] = "auto",
    changes: Set = None,
) -> None:
    """Measure where the galvo has to point for a pixel: fire a grid, find the spots, fit a map, write it to a file.

    The camera's exposure is that of the experiment's first channel; galvo, light and power are those of its
    'photomanipulation'. Use an even fluorescent specimen, which will be bleached where the light falls.
    """
    from inscoper_mm.cli.calibrate import galvo_command

    if model not in ("affine", "second_order", "auto"):
        raise typer.BadParameter(f"'{model}'. Allowed: affine, second_order, auto.", param_hint="--model")
    raise typer.Exit(galvo_command(config, output, changes or [], grid, model))


def main() -> None:
    """Entry point of ``inscoper-mm``."""
    app()

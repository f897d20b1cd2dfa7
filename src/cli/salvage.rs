//! `roomreel salvage`: the part file of a killed recording becomes a finished one.

use anyhow::anyhow;
use roomreel::encode::mux;

use super::Exit;
use super::args::Salvage;

/// What a growing file's name ends with, and a finished one's does not.
const PART: &str = ".part.mp4";

pub(crate) fn run(args: Salvage) -> Result<(), Exit> {
    let output = match args.output {
        Some(output) => output,
        None => {
            let name = args.part.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some(stem) = name.strip_suffix(PART) else {
                let part = args.part.display();
                return Err(Exit::usage(anyhow!("{part} does not end in {PART}: say -o OUTPUT")));
            };
            args.part.with_file_name(format!("{stem}.mp4"))
        }
    };
    if output.exists() {
        return Err(Exit::usage(anyhow!("{} exists already", output.display())));
    }
    let done = mux::salvage(&args.part, &output).map_err(Exit::disk)?;
    println!("{}", output.display());
    eprintln!("{:.2} s, {} frames, {} bytes", done.duration.as_secs_f64(), done.frames, done.bytes);
    Ok(())
}

//! `roomreel completions` and `roomreel man`: what shells and readers are told of the
//! command line, made from its definition.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_complete::Shell;

use super::Exit;
use super::args::Args;

#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// For which shell
    shell: Shell,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Man {
    /// Write one page for each command into this directory, instead of the first one to
    /// standard output
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// The command line as it is meant to be typed.
fn shown() -> Command {
    let whole = Args::command();
    let commands = whole.get_subcommands().filter(|command| !command.is_hide_set());
    Command::new("roomreel")
        .version(env!("CARGO_PKG_VERSION"))
        .about(whole.get_about().cloned().unwrap_or_default())
        .args(whole.get_arguments())
        .subcommands(commands.cloned())
}

pub(crate) fn completions(args: &Completions) -> Result<(), Exit> {
    let mut command = shown();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "roomreel", &mut script);
    print(&script)
}

pub(crate) fn man(args: &Man) -> Result<(), Exit> {
    let command = shown();
    if let Some(dir) = &args.dir {
        std::fs::create_dir_all(dir)
            .and_then(|()| clap_mangen::generate_to(command, dir))
            .with_context(|| format!("cannot write into {}", dir.display()))
            .map_err(Exit::disk)?;
        return Ok(());
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(Exit::failure)?;
    print(&page)
}

/// A reader that has seen enough is no failure.
fn print(bytes: &[u8]) -> Result<(), Exit> {
    use std::io::Write;
    match std::io::stdout().write_all(bytes) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Exit::failure(e)),
        _ => Ok(()),
    }
}

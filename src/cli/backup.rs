//! `roomreel backup`: what the service remembers, copied while it runs.

use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use roomreel::config::Config;
use roomreel::http::DATABASE;
use roomreel::storage::LINKS_KEY;
use roomreel::store::back_up;

use super::{Exit, runtime};

#[derive(Debug, clap::Args)]
pub(crate) struct Backup {
    /// A directory for the copy; made if it is missing, and without an earlier copy in it
    to: PathBuf,
    /// The service's data directory; the configured one otherwise
    #[arg(long)]
    data: Option<PathBuf>,
    /// Configuration file (TOML)
    #[arg(long)]
    config: Option<PathBuf>,
}

pub(crate) fn run(args: Backup) -> Result<(), Exit> {
    let config = Config::load(args.config.as_deref(), std::env::vars_os()).map_err(Exit::usage)?;
    let data = args.data.unwrap_or(config.data.dir);
    let database = data.join(DATABASE);
    if !database.is_file() {
        let problem = anyhow!("{}: there is no service's database", database.display());
        return Err(Exit::usage(problem));
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&args.to)
        .with_context(|| format!("cannot make {}", args.to.display()))
        .map_err(Exit::disk)?;
    runtime()?.block_on(back_up(&database, &args.to.join(DATABASE))).map_err(Exit::disk)?;
    // Without it, links that were given out end.
    let key = data.join(LINKS_KEY);
    if key.is_file() {
        copy_private(&key, &args.to.join(LINKS_KEY))
            .with_context(|| format!("cannot copy {}", key.display()))
            .map_err(Exit::disk)?;
    }
    println!("{}", args.to.display());
    Ok(())
}

fn copy_private(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    std::io::copy(&mut std::fs::File::open(from)?, &mut file)?;
    file.sync_all()
}

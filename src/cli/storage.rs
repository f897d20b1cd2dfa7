//! `roomreel storage check`: does a destination work, and if not, why.

use anyhow::anyhow;
use roomreel::config::Config;
use roomreel::storage::{Destination, Finding};

use super::args::{Storage, StorageCommand};
use super::{Exit, runtime};

pub(crate) fn run(args: Storage) -> Result<(), Exit> {
    let StorageCommand::Check { name, config } = args.what;
    let config = Config::load(config.as_deref(), std::env::vars_os()).map_err(Exit::usage)?;
    let known = config.storage.destinations.iter().map(|destination| destination.name.clone());
    let names: Vec<String> = match name {
        Some(name) => vec![name],
        None => known.collect(),
    };
    if names.is_empty() {
        return Err(Exit::usage(anyhow!("storage.destinations is empty: files stay on this disk")));
    }
    runtime()?.block_on(async {
        let mut failed = 0;
        for name in &names {
            let destination = Destination::configured(name, &config.data.dir, &config.storage);
            let destination = destination.map_err(Exit::usage)?;
            println!("{name}: {}", destination.uri(""));
            for Finding { step, outcome } in destination.check().await {
                match outcome {
                    Ok(()) => println!("  {step:8} ok"),
                    Err(error) => {
                        failed += 1;
                        println!("  {step:8} {error}");
                    }
                }
            }
        }
        match failed {
            0 => Ok(()),
            _ => Err(Exit::failure(anyhow!("a destination does not work"))),
        }
    })
}

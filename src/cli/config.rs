//! `roomreel config check`: would the service start with this configuration?

use roomreel::config::Config;
use roomreel::http;

use super::Exit;
use super::args::{Config as Args, ConfigCommand};

pub(crate) fn run(args: Args) -> Result<(), Exit> {
    let ConfigCommand::Check { config } = args.what;
    let config = Config::load(config.as_deref(), std::env::vars_os()).map_err(Exit::usage)?;
    http::check(&config).map_err(Exit::usage)?;
    println!("ok");
    Ok(())
}

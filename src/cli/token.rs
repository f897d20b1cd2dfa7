//! `roomreel token`: a management token, as callers show it to the service.

use anyhow::anyhow;
use roomreel::config::Config;
use roomreel::token::{Keys, mint_management};
use secrecy::ExposeSecret;

use super::Exit;
use super::args::Token;

pub(crate) fn run(args: Token) -> Result<(), Exit> {
    let config = Config::load(args.config.as_deref(), std::env::vars_os()).map_err(Exit::usage)?;
    let keys = Keys::new(config.auth.keys);
    let key = keys.find(args.access_key.as_deref()).ok_or_else(|| {
        Exit::usage(match args.access_key {
            Some(name) => anyhow!("auth.keys has no access key {name:?}"),
            None => anyhow!("auth.keys is empty: configure a key to sign tokens with"),
        })
    })?;
    let token = mint_management(key, args.life)
        .ok_or_else(|| Exit::failure(anyhow!("the token could not be signed")))?;
    println!("{}", token.expose_secret());
    Ok(())
}

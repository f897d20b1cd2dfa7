//! `roomreel bug-report`: one recording of the service, to be shown to others.

use anyhow::anyhow;
use roomreel::config::Config;
use roomreel::http::DATABASE;
use roomreel::node;
use roomreel::store::{DeliveryQuery, Id, Outbox, SqliteStore, Store};

use super::args::BugReport;
use super::{Exit, runtime};

/// Webhook deliveries that are told of.
const DELIVERIES: usize = 200;

pub(crate) fn run(args: BugReport) -> Result<(), Exit> {
    let config = Config::load(args.config.as_deref(), std::env::vars_os()).map_err(Exit::usage)?;
    let data = args.data.unwrap_or(config.data.dir);
    let id: Id = args.id.parse().map_err(Exit::usage)?;
    let database = data.join(DATABASE);
    if !database.is_file() {
        let problem = anyhow!("{}: there is no service's database", database.display());
        return Err(Exit::usage(problem));
    }
    let report = runtime()?.block_on(async {
        let store = SqliteStore::open(&database).await.map_err(Exit::failure)?;
        let found = store.get(id).await.map_err(Exit::failure)?;
        let query =
            DeliveryQuery { recording_id: Some(id), limit: DELIVERIES, ..DeliveryQuery::default() };
        let deliveries = store.deliveries(&query).await.map_err(Exit::failure)?;
        store.close().await;
        let recording = found.ok_or_else(|| Exit::usage(anyhow!("there is no recording {id}")))?;
        Ok::<_, Exit>(node::report(&data, &recording, &deliveries))
    })?;
    match args.output {
        None => print!("{report}"),
        Some(path) => std::fs::write(&path, report)
            .map_err(|error| Exit::disk(anyhow!("{}: {error}", path.display())))?,
    }
    Ok(())
}

//! `roomreel demo`: the bundled room, with bots if wanted.

use roomreel::demo::{self, DemoConfig};
use tokio_util::sync::CancellationToken;

use super::args::Demo;
use super::{Exit, runtime, shutdown_on_signal};

pub(crate) fn run(args: Demo) -> Result<(), Exit> {
    let config = DemoConfig { listen: args.listen, room: args.room, bots: args.bots };
    runtime()?.block_on(async {
        let shutdown = CancellationToken::new();
        shutdown_on_signal(shutdown.clone()).map_err(Exit::failure)?;
        demo::run(config, shutdown).await.map_err(|error| match error.is_bad_request() {
            true => Exit::usage(error),
            false => Exit::failure(error),
        })
    })
}

//! The tabs that a browser has open, asked for as long as it does not tell of them by
//! itself.

use std::time::Duration;

use chromiumoxide::cdp::browser_protocol::target::GetTargetsParams;
use serde::Deserialize;

use super::START_TIMEOUT;
use super::cdp::{CallError, Client};

/// After this long a tab that has yet to come, or to go, is looked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Targets {
    target_infos: Vec<Target>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    target_id: String,
    #[serde(rename = "type")]
    kind: String,
}

/// The target id of the first window's page, which may open after the first answer.
pub(super) async fn first(client: &Client) -> Result<String, CallError> {
    loop {
        if let Some(page) = all(client).await?.into_iter().next() {
            return Ok(page);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Waits until a tab that was closed is gone: closing is answered before it is done.
pub(super) async fn gone(client: &Client, tab: &str) -> Result<(), CallError> {
    while all(client).await?.iter().any(|page| page == tab) {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

async fn all(client: &Client) -> Result<Vec<String>, CallError> {
    let asked = GetTargetsParams::default();
    let targets: Targets = client.call_as(None, asked, START_TIMEOUT).await?;
    let pages = targets.target_infos.into_iter().filter(|target| target.kind == "page");
    Ok(pages.map(|page| page.target_id).collect())
}

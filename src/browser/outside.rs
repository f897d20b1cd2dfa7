//! Other programs: a page may ask for one by an address of a scheme that Chromium does
//! not know (`zoommtg:`, `tel:`), and Chromium would ask the user, over the page, for good.
//!
//! It asks once: until the user has touched something, which never happens here, any further
//! request is refused in silence. So the first one is used up before the page is opened, in
//! a hidden tab that is gone before the question could be put.

use chromiumoxide::cdp::browser_protocol::page::{NavigateParams, TransitionType};
use chromiumoxide::cdp::browser_protocol::target::{
    AttachToTargetParams, CloseTargetParams, CreateTargetParams,
};

use super::cdp::{CallError, Client};
use super::{START_TIMEOUT, tabs};

/// A scheme that no program is for.
const NOWHERE: &str = "roomreel-nowhere:";

/// To be called before other tabs are told of, and closed, as foreign ones.
pub(super) async fn shut(client: &Client) -> Result<(), CallError> {
    let mut tab = CreateTargetParams::new("about:blank");
    // A Chromium that does not know hidden ones opens it behind the page, which takes longer.
    tab.background = Some(true);
    tab.hidden = Some(true);
    let tab = client.call(None, tab, START_TIMEOUT).await?.target_id;
    let mut attach = AttachToTargetParams::new(tab.clone());
    attach.flatten = Some(true);
    let session = client.call(None, attach, START_TIMEOUT).await?.session_id;
    let mut ask = NavigateParams::new(NOWHERE);
    // As by a link: an address that is typed would be asked about each time.
    ask.transition_type = Some(TransitionType::Link);
    // It answers that nothing was loaded.
    client.call(Some(session.inner().as_str()), ask, START_TIMEOUT).await?;
    client.call(None, CloseTargetParams::new(tab.clone()), START_TIMEOUT).await?;
    tabs::gone(client, tab.inner()).await?;
    tracing::debug!("the question for another program is used up");
    Ok(())
}

//! Where a recorded page may connect to.

use std::net::SocketAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// What the recorder's browser may reach by TCP. The service's recordings are
/// guarded; a page that the operator named on the command line is his word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum Egress {
    /// Whatever this machine can.
    Open,
    /// Public addresses, and what is listed here.
    Guarded {
        /// Networks allowed although they are not public.
        #[serde(default)]
        networks: Vec<IpNet>,
        /// Single ports allowed where their address is not.
        #[serde(default)]
        sockets: Vec<SocketAddr>,
        /// Ports of this machine that stay closed whatever is allowed: the
        /// service's own.
        #[serde(default)]
        closed_ports: Vec<u16>,
    },
}

impl Default for Egress {
    /// Public addresses alone.
    fn default() -> Self {
        Self::Guarded { networks: Vec::new(), sockets: Vec::new(), closed_ports: Vec::new() }
    }
}

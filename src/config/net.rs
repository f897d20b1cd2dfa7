//! `[net]`: where requests may lead the service.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, de::Error};

/// `[net]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Net {
    /// Networks that a URL of a request may lead to although they are not
    /// public, in CIDR notation; an address alone is a network of one.
    #[serde(deserialize_with = "networks")]
    pub allow: Vec<IpNet>,
    /// Single ports that a meeting may be at although their address is not
    /// public. No setting of the file: the demo room's.
    #[serde(skip)]
    pub sockets: Vec<SocketAddr>,
}

/// Parses a network as `net.allow` and `--allow-net` take it.
pub fn parse_network(text: &str) -> Result<IpNet, String> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map(|net| net.trunc()).map_err(|_| {
        format!("{text:?} is not a network: write it as ADDRESS/BITS, like \"10.0.0.0/8\"")
    })
}

fn networks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    texts.iter().map(|text| parse_network(text).map_err(D::Error::custom)).collect()
}

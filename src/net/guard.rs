//! The rule: public unicast addresses are open, everything else needs to be on
//! the allow list.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use std::{fmt, io};

use futures::future::BoxFuture;
use ipnet::IpNet;
use url::{Host, Url};

/// IPv4 blocks that are not the public internet (IANA special-purpose registry,
/// RFC 6890 and its updates), multicast, broadcast, and Azure's WireServer, a
/// public address that is the metadata service inside a virtual machine.
const CLOSED_V4: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/3",
];

/// The IPv6 block that is globally routed (RFC 4291 section 2.4).
const OPEN_V6: &str = "2000::/3";
/// The special-purpose blocks inside it; those that carry an IPv4 address
/// (Teredo, 6to4) are among them.
const CLOSED_V6: &[&str] = &["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"];

/// How long a name may take to be resolved.
const LOOKUP: Duration = Duration::from_secs(10);

/// Why a URL or an address may not be connected to. The texts hold a host at
/// most, never a path or a query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The address is not public.
    #[error(
        "{address} is not a public address; the operator of this service can allow it with \
         --allow-net {net} or net.allow = [\"{net}\"] in the configuration"
    )]
    Closed {
        /// The address.
        address: IpAddr,
        /// The smallest network to allow.
        net: IpNet,
    },
    /// The name leads to an address that is not public.
    #[error(
        "{host} leads to {address}, which is not a public address; the operator of this service \
         can allow it with --allow-net {net} or net.allow = [\"{net}\"] in the configuration"
    )]
    LeadsInside {
        /// The name.
        host: String,
        /// Where it leads.
        address: IpAddr,
        /// The smallest network to allow.
        net: IpNet,
    },
    /// The name has no address now, so nothing is known of it.
    #[error("{host} cannot be resolved: {why}")]
    Unresolved {
        /// The name.
        host: String,
        /// The resolver's words.
        why: String,
    },
    /// The URL names no host.
    #[error("the URL has no host")]
    NoHost,
}

/// The addresses of a name, in the order to try them.
pub type Lookup =
    Arc<dyn Fn(&str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync + 'static>;

/// Decides which addresses may be connected to. Clones are cheap.
#[derive(Clone, Default)]
pub struct Guard {
    /// Networks that the operator allowed although they are not public.
    allowed: Arc<[IpNet]>,
    /// Single ports that are allowed where their address is not: the demo room's.
    sockets: Arc<[SocketAddr]>,
    /// Who knows the addresses of names; the system if nobody else does.
    lookup: Option<Lookup>,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { allowed, sockets, lookup: _ } = self;
        f.debug_struct("Guard").field("allowed", allowed).field("sockets", sockets).finish()
    }
}

impl Guard {
    /// A guard that lets public addresses and `allowed` networks through.
    pub fn new(allowed: impl IntoIterator<Item = IpNet>) -> Self {
        Self { allowed: allowed.into_iter().collect(), ..Self::default() }
    }

    /// Lets these addresses with these ports through as well.
    pub fn with_sockets(self, sockets: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self { sockets: sockets.into_iter().collect(), ..self }
    }

    /// Asks `lookup` for the addresses of names, and not the system.
    pub fn with_lookup(self, lookup: Lookup) -> Self {
        Self { lookup: Some(lookup), ..self }
    }

    /// Checks one address and port as they would be connected to.
    pub fn check_socket(&self, socket: SocketAddr) -> Result<(), Refused> {
        let plain = SocketAddr::new(unmapped(socket.ip()), socket.port());
        if self.sockets.contains(&plain) { Ok(()) } else { self.check(socket.ip()) }
    }

    /// Checks one address as it would be connected to.
    pub fn check(&self, address: IpAddr) -> Result<(), Refused> {
        let address = unmapped(address);
        if is_public(address) || self.allowed.iter().any(|net| net.contains(&address)) {
            Ok(())
        } else {
            Err(Refused::Closed { address, net: address.into() })
        }
    }

    /// Checks what a URL says by itself: an address written in it. A name passes
    /// here and is checked when it is resolved, by [`check_url`](Self::check_url)
    /// or by a [`GuardedResolver`](super::GuardedResolver).
    pub fn check_literal(&self, url: &Url) -> Result<(), Refused> {
        let port = url.port_or_known_default().unwrap_or(0);
        match url.host() {
            Some(Host::Ipv4(v4)) => self.check_socket((v4, port).into()),
            Some(Host::Ipv6(v6)) => self.check_socket((v6, port).into()),
            Some(Host::Domain(_)) => Ok(()),
            None => Err(Refused::NoHost),
        }
    }

    /// Checks where a URL leads now: its address, or every address of its name.
    /// One closed address refuses the name, since nobody knows which of them
    /// will be connected to.
    ///
    /// For an early and readable answer only: a name can lead elsewhere a moment
    /// later, so whatever connects has to ask again.
    pub async fn check_url(&self, url: &Url) -> Result<(), Refused> {
        self.check_literal(url)?;
        match url.host() {
            Some(Host::Domain(name)) => {
                let port = url.port_or_known_default().unwrap_or(0);
                self.resolve(name, port).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// The addresses of a name, or of an address in text, all of them open.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Refused> {
        let unresolved = |why: String| Refused::Unresolved { host: host.to_owned(), why };
        let found: Vec<SocketAddr> = match tokio::time::timeout(LOOKUP, self.ask(host, port)).await
        {
            Ok(Ok(found)) => found,
            Ok(Err(e)) => return Err(unresolved(e.to_string())),
            Err(_) => return Err(unresolved("the name server does not answer".into())),
        };
        if found.is_empty() {
            return Err(unresolved("it has no address".into()));
        }
        for address in &found {
            self.check_socket(*address).map_err(|refused| match refused {
                Refused::Closed { address, net } if host.parse() != Ok(address) => {
                    Refused::LeadsInside { host: host.to_owned(), address, net }
                }
                other => other,
            })?;
        }
        Ok(found)
    }

    async fn ask(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        match (&self.lookup, host.parse::<IpAddr>()) {
            (Some(lookup), Err(_)) => {
                let found = lookup(host).await?;
                Ok(found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
            }
            _ => Ok(tokio::net::lookup_host((host, port)).await?.collect()),
        }
    }
}

/// An IPv4 address in IPv6 clothes is the IPv4 address: mapped (RFC 4291 section
/// 2.5.5.2) or behind the well-known prefix of NAT64 (RFC 6052 section 2.1).
fn unmapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return v4.into();
    }
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)).into()
        }
        _ => address,
    }
}

fn is_public(address: IpAddr) -> bool {
    static TABLES: LazyLock<(Vec<IpNet>, Vec<IpNet>)> = LazyLock::new(|| {
        let closed = CLOSED_V4.iter().chain(CLOSED_V6).filter_map(|net| net.parse().ok());
        (closed.collect(), OPEN_V6.parse().into_iter().collect())
    });
    let (closed, open_v6) = &*TABLES;
    let holds = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&address));
    !holds(closed) && (address.is_ipv4() || holds(open_v6))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn the_tables_parse() {
        for net in CLOSED_V4.iter().chain(CLOSED_V6).chain([&OPEN_V6]) {
            net.parse::<IpNet>().unwrap();
        }
    }

    #[test]
    fn the_inside_is_closed() {
        for inside in [
            "127.0.0.1",
            "127.9.9.9",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.192",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "240.0.0.1",
            "::",
            "::1",
            "::7f00:1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a9fe:a9fe",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
        ] {
            assert!(Guard::default().check(ip(inside)).is_err(), "{inside}");
        }
    }

    #[test]
    fn the_outside_is_open() {
        for outside in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "64:ff9b::101:101",
            "::ffff:1.1.1.1",
        ] {
            assert_eq!(Guard::default().check(ip(outside)), Ok(()), "{outside}");
        }
    }

    #[test]
    fn what_is_allowed_is_open_and_nothing_beside_it() {
        let guard = Guard::new(["10.1.0.0/16", "::1/128"].map(|net| net.parse().unwrap()));
        assert!(guard.check(ip("10.1.2.3")).is_ok());
        assert!(guard.check(ip("::ffff:10.1.2.3")).is_ok());
        assert!(guard.check(ip("::1")).is_ok());
        assert!(guard.check(ip("10.2.2.3")).is_err());
        assert!(guard.check(ip("127.0.0.1")).is_err());
    }

    #[test]
    fn one_port_can_be_open_where_its_neighbours_are_not() {
        let socket = |text: &str| text.parse::<SocketAddr>().unwrap();
        let guard = Guard::default().with_sockets([socket("127.0.0.1:8090")]);
        assert!(guard.check_socket(socket("127.0.0.1:8090")).is_ok());
        assert!(guard.check_socket(socket("[::ffff:127.0.0.1]:8090")).is_ok());
        assert!(guard.check_socket(socket("127.0.0.1:8080")).is_err());
        assert!(guard.check(ip("127.0.0.1")).is_err());
        assert!(guard.check_literal(&url("http://127.0.0.1:8090/a")).is_ok());
        assert!(guard.check_literal(&url("http://127.0.0.1/a")).is_err());
    }

    #[test]
    fn addresses_written_in_urls_are_seen_in_every_spelling() {
        let guard = Guard::default();
        for text in [
            "http://127.1/",
            "http://0x7f000001/",
            "http://2130706433/",
            "http://0177.0.0.1/",
            "http://[::1]:80/",
            "http://[::ffff:7f00:1]/",
        ] {
            assert!(guard.check_literal(&url(text)).is_err(), "{text}");
        }
        assert!(guard.check_literal(&url("https://example.com/")).is_ok());
        assert_eq!(guard.check_literal(&url("data:text/html,x")), Err(Refused::NoHost));
    }

    #[tokio::test]
    async fn a_name_is_judged_by_where_it_leads() {
        let at_home = url("http://localhost:1/secret?token=t");
        let refused = Guard::default().check_url(&at_home).await.unwrap_err();
        assert!(matches!(refused, Refused::LeadsInside { .. }), "{refused}");
        let text = refused.to_string();
        assert!(text.contains("localhost") && text.contains("--allow-net "), "{text}");
        assert!(text.contains("net.allow") && !text.contains("secret"), "{text}");
        let guard = Guard::new(["127.0.0.0/8", "::1/128"].map(|net| net.parse().unwrap()));
        assert_eq!(guard.check_url(&at_home).await, Ok(()));
    }

    #[tokio::test]
    async fn a_name_that_leads_nowhere_is_refused_as_such() {
        // RFC 6761 section 6.4.
        let refused = Guard::default().check_url(&url("http://room.invalid/")).await;
        assert!(matches!(refused, Err(Refused::Unresolved { .. })), "{refused:?}");
    }

    #[tokio::test]
    async fn an_address_in_text_is_no_name() {
        let refused = Guard::default().resolve("10.0.0.1", 80).await.unwrap_err();
        assert!(refused.to_string().contains("--allow-net 10.0.0.1/32"), "{refused}");
    }
}

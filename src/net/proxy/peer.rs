//! Whose a connection over loopback is.

use std::net::{SocketAddr, SocketAddrV4};

/// The user id that owns the other end of a connection between two sockets of
/// this machine: `client`, as accepted by `server`. `None` if the kernel's table
/// does not show it, and then nothing is known of it.
pub(super) fn owner(client: SocketAddr, server: SocketAddr) -> Option<u32> {
    let (SocketAddr::V4(client), SocketAddr::V4(server)) = (client, server) else { return None };
    let table = std::fs::read_to_string("/proc/self/net/tcp").ok()?;
    find(&table, client, server)
}

/// A row is `sl local remote st queues timer retransmits uid …`
/// (proc_pid_net(5)); the client's own row has it as the local end.
fn find(table: &str, client: SocketAddrV4, server: SocketAddrV4) -> Option<u32> {
    let (client, server) = (spell(client), spell(server));
    table.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let is_it = fields.next()? == client && fields.next()? == server;
        is_it.then(|| fields.nth(4)?.parse().ok()).flatten()
    })
}

/// The address's bytes as a number of this machine, and the port, in hexadecimal.
fn spell(address: SocketAddrV4) -> String {
    format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_connection_of_this_process_is_this_users() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let client = TcpStream::connect(server).unwrap();
        let (_accepted, peer) = listener.accept().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        assert_eq!(owner(peer, server), Some(rustix::process::geteuid().as_raw()));
        let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
        assert_eq!(owner(nobody, server), None);
        assert_eq!(owner("[::1]:1".parse().unwrap(), server), None);
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn rows_are_read_as_the_kernel_writes_them() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n\
            0: 0100007F:1F90 0100007F:C001 01 00000000:00000000 00:00000000 00000000     0        0 1\n\
            1: 0100007F:C001 0100007F:1F90 01 00000000:00000000 00:00000000 00000000 61200        0 2\n";
        let at = |port| SocketAddrV4::new([127, 0, 0, 1].into(), port);
        assert_eq!(find(table, at(0xC001), at(8080)), Some(61200));
        assert_eq!(find(table, at(0xC002), at(8080)), None);
        assert_eq!(find("garbage\n\n 1: 2", at(1), at(2)), None);
    }
}

//! Between a client and a server: bytes go through, and texts are changed on the way.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A text, and another of the same length.
pub type Change = (String, String);

/// A port of the loopback that leads to a server; closed when dropped.
pub struct Relay {
    pub address: SocketAddr,
    over: Arc<AtomicBool>,
}

impl Relay {
    /// Leads to `server`, which takes itself to be asked by its own name, and makes
    /// `changes` in what it answers. A text must not be cut in two by the network.
    pub fn to(server: SocketAddr, changes: Vec<Change>) -> Self {
        let same = |(from, to): &Change| from.len() == to.len() && from != to;
        assert!(changes.iter().all(same), "{changes:?}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let names = (address.to_string(), server.to_string());
        assert_eq!(names.0.len(), names.1.len(), "{names:?}");
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(server)) else {
                    continue;
                };
                let (ask, answer) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (names, changes) = (vec![names.clone()], changes.clone());
                std::thread::spawn(move || pass(ask, server, &names));
                std::thread::spawn(move || pass(answer, client, &changes));
            }
        });
        Self { address, over }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes the thread that listens.
        let _ = TcpStream::connect(self.address);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, changes: &[Change]) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        let bytes = &mut buffer[..n];
        for (old, new) in changes {
            let find = |bytes: &[u8]| bytes.windows(old.len()).position(|w| w == old.as_bytes());
            while let Some(at) = find(bytes) {
                bytes[at..at + new.len()].copy_from_slice(new.as_bytes());
            }
        }
        if to.write_all(bytes).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

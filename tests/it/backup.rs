//! A copy of what the service remembers, made while it runs, put back elsewhere.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::archive::{Past, fill};
use crate::support::process::{Running, run};
use crate::support::roomreel::roomreel;
use crate::support::serve::{data, free_port};
use crate::support::{scratch, until};

struct Service {
    process: Running,
    base: String,
    runtime: tokio::runtime::Runtime,
}

impl Service {
    fn over(data: &Path, port: u16) -> Self {
        let listen = format!("127.0.0.1:{port}");
        let mut command = roomreel();
        command.args(["serve", "--listen", &listen, "--data"]).arg(data);
        let process = Running::spawn(&mut command);
        until("the service", Duration::from_secs(60), || {
            std::net::TcpStream::connect(&listen).ok()
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { process, base: format!("http://{listen}"), runtime }
    }

    fn get(&self, url: &str) -> (u16, Vec<u8>) {
        self.runtime.block_on(async {
            let answer = reqwest::get(url).await.unwrap();
            (answer.status().as_u16(), answer.bytes().await.unwrap().to_vec())
        })
    }

    fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(&format!("{}{path}", self.base));
        assert_eq!(status, 200, "{path}: {}", self.process.stderr());
        serde_json::from_slice(&body).unwrap()
    }
}

fn back_up(data: &Path, to: &Path) -> crate::support::process::Outcome {
    run(roomreel().arg("backup").arg(to).arg("--data").arg(data))
}

#[test]
fn what_is_put_back_has_the_same_recordings_and_links() {
    let (root, port) = (scratch(), free_port());
    let old = data(root.path());
    fill(&old, (0..50).map(|n| Past::completed("standup", 100 - n).or_failed(n % 7 == 0)));
    let service = Service::over(&old, port);
    let before = service.json("/v2/recordings?limit=100");
    let asset = service.json("/v2/recording-assets")["data"][0].clone();
    let id = asset["id"].as_str().unwrap();
    let link = service.json(&format!("/v2/recording-assets/{id}/presigned-url"))["url"].clone();
    let file = Path::new(asset["path"].as_str().unwrap().strip_prefix("file://").unwrap());
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, "film").unwrap();

    let copy = root.path().join("copy");
    back_up(&old, &copy).expect_success("backup");
    // What comes later is not in it.
    for name in ["roomreel.db", "links.key"] {
        let mode = std::fs::metadata(copy.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    // Nothing of an earlier copy is written over.
    let again = back_up(&old, &copy);
    assert_eq!(again.status.code(), Some(5), "{}", again.stderr);
    assert!(again.stderr.contains("exists"), "{}", again.stderr);
    drop(service);

    // Put back as docs/install.md says: the copy, and files/ beside it.
    let new = root.path().join("new");
    std::fs::rename(&copy, &new).unwrap();
    std::fs::rename(old.join("files"), new.join("files")).unwrap();
    std::fs::remove_dir_all(&old).unwrap();
    let service = Service::over(&new, port);
    assert_eq!(service.json("/v2/recordings?limit=100"), before);
    // A link that was given out before leads to the file that was put back.
    assert_eq!(service.get(link.as_str().unwrap()), (200, b"film".to_vec()));
}

#[test]
fn where_there_is_no_service_there_is_nothing_to_copy() {
    let root = scratch();
    let none = back_up(&root.path().join("nowhere"), &root.path().join("copy"));
    assert_eq!(none.status.code(), Some(2), "{}", none.stderr);
    assert!(none.stderr.contains("no service's database"), "{}", none.stderr);
    assert!(!root.path().join("copy").exists());
}

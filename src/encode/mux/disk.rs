//! The thread that writes the part file, so that a slow disk never holds up an
//! encoder.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::finish::sync_directory_of;
use super::{Head, MuxError};

/// Bytes that may wait for the disk: minutes of a usual recording. It is also
/// the most that a power cut can tear.
pub const QUEUE_BYTES: usize = 64 << 20;

/// Why a fragment was not taken.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// Too much waits already. The fragment comes back, to be offered again
    /// before any later one.
    #[error("the disk is {QUEUE_BYTES} bytes behind")]
    Behind(Vec<u8>),
    /// Writing failed and the thread has stopped. The part file is intact up to
    /// its last complete fragment.
    #[error("cannot write {}: {source}", path.display())]
    Failed {
        /// The part file.
        path: PathBuf,
        /// What the operating system said; its kind tells a full disk.
        source: Arc<io::Error>,
    },
}

/// Appends fragments to the part file on the thread `disk`, each followed by an
/// fdatasync, or several by one when the disk is slow.
#[derive(Debug)]
pub struct Disk {
    shared: Arc<Shared>,
    /// `None` once joined.
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    state: Mutex<State>,
    /// Signalled when fragments or the end of them arrive.
    wake: Condvar,
}

#[derive(Debug)]
struct State {
    queue: VecDeque<Vec<u8>>,
    /// Bytes in the queue and in the thread's hands.
    waiting: usize,
    /// Bytes of the file that are on disk.
    synced: u64,
    /// No more will come.
    closed: bool,
    failure: Option<Arc<io::Error>>,
}

impl Disk {
    /// Creates the part file at `path`, which must not exist, with `head` on
    /// disk, and starts the thread.
    ///
    /// # Errors
    /// [`MuxError::Io`].
    pub fn create(path: &Path, head: &Head) -> Result<Self, MuxError> {
        let file = File::options().write(true).create_new(true).open(path);
        let file = file.map_err(MuxError::io("create", path))?;
        file.write_all_at(&head.bytes, 0)
            .and_then(|()| file.set_len(head.media_at))
            .and_then(|()| file.sync_all())
            .map_err(MuxError::io("write", path))?;
        sync_directory_of(path)?;
        Self::start(file, path, head.media_at)
    }

    /// Starts the thread; the first fragment goes to `at`.
    fn start(file: File, path: &Path, at: u64) -> Result<Self, MuxError> {
        let shared = Arc::new(Shared::new(path, at));
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("disk".to_owned())
            .spawn(move || theirs.run(&file))
            .map_err(MuxError::io("start a thread for", path))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// One without a thread: nothing leaves its queue.
    #[cfg(test)]
    pub fn stuck() -> Self {
        Self { shared: Arc::new(Shared::new(Path::new("a.part"), 0)), thread: None }
    }

    /// Queues a fragment. Never waits for the disk.
    ///
    /// # Errors
    /// [`DiskError`]: the queue is full, or the disk has failed.
    pub fn append(&self, fragment: Vec<u8>) -> Result<(), DiskError> {
        let mut state = self.shared.lock();
        self.shared.failed(&state)?;
        // An empty queue takes a fragment of any size.
        if state.waiting > 0 && state.waiting + fragment.len() > QUEUE_BYTES {
            return Err(DiskError::Behind(fragment));
        }
        state.waiting += fragment.len();
        state.queue.push_back(fragment);
        self.shared.wake.notify_one();
        Ok(())
    }

    /// Bytes of the file that are on disk, its head included.
    pub fn synced(&self) -> u64 {
        self.shared.lock().synced
    }

    /// Bytes that wait for the disk.
    pub fn waiting(&self) -> usize {
        self.shared.lock().waiting
    }

    /// Waits until everything queued is on disk; returns the file's length.
    ///
    /// # Errors
    /// [`DiskError::Failed`] if anything could not be written.
    pub fn close(mut self) -> Result<u64, DiskError> {
        self.end();
        if let Some(thread) = self.thread.take() {
            // It does not panic; if it did, the check below finds bytes missing.
            let _ = thread.join();
        }
        let state = self.shared.lock();
        self.shared.failed(&state)?;
        Ok(state.synced)
    }

    fn end(&self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_one();
    }
}

/// Dropped without [`Disk::close`], it still writes what is queued, but nobody
/// waits for it.
impl Drop for Disk {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn new(path: &Path, synced: u64) -> Self {
        let state =
            State { queue: VecDeque::new(), waiting: 0, synced, closed: false, failure: None };
        Self { path: path.to_owned(), state: Mutex::new(state), wake: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, state: &State) -> Result<(), DiskError> {
        match &state.failure {
            Some(source) => {
                Err(DiskError::Failed { path: self.path.clone(), source: Arc::clone(source) })
            }
            None => Ok(()),
        }
    }

    fn run(&self, file: &File) {
        let mut at = self.lock().synced;
        loop {
            let state = self.lock();
            let mut state = self
                .wake
                .wait_while(state, |state| state.queue.is_empty() && !state.closed)
                .unwrap_or_else(PoisonError::into_inner);
            let batch = std::mem::take(&mut state.queue);
            drop(state);
            if batch.is_empty() {
                return;
            }
            let written = write(file, at, &batch);
            let mut state = self.lock();
            match written {
                Ok(end) => {
                    state.waiting -= batch.iter().map(Vec::len).sum::<usize>();
                    state.synced = end;
                    at = end;
                }
                Err(error) => {
                    state.failure = Some(Arc::new(error));
                    // Nobody will write these.
                    state.queue.clear();
                    return;
                }
            }
        }
    }
}

/// Writes `batch` from `at` on and syncs it; returns where it ends.
fn write(file: &File, mut at: u64, batch: &VecDeque<Vec<u8>>) -> io::Result<u64> {
    for fragment in batch {
        file.write_all_at(fragment, at)?;
        at += fragment.len() as u64;
    }
    file.sync_data()?;
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_file_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.part");
        let head = Head { bytes: vec![1; 10], media_at: 4096 };
        assert_eq!(Disk::create(&path, &head).unwrap().close().unwrap(), 4096);
        assert!(matches!(Disk::create(&path, &head), Err(MuxError::Io { .. })));
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 4096);
    }

    #[test]
    fn fragments_reach_the_disk_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.part");
        let disk = Disk::create(&path, &Head { bytes: vec![], media_at: 0 }).unwrap();
        let mut expected = Vec::new();
        for number in 0..200_u8 {
            let fragment = vec![number; 1000 + usize::from(number)];
            expected.extend_from_slice(&fragment);
            disk.append(fragment).unwrap();
        }
        assert_eq!(disk.close().unwrap(), expected.len() as u64);
        assert!(std::fs::read(&path).unwrap() == expected);
    }

    #[test]
    fn a_full_queue_gives_the_fragment_back() {
        let stuck = Disk::stuck();
        stuck.append(vec![1; QUEUE_BYTES + 1]).unwrap();
        let refused = stuck.append(vec![2; 3]);
        assert!(matches!(refused, Err(DiskError::Behind(back)) if back == [2; 3]));
        assert_eq!((stuck.waiting(), stuck.synced()), (QUEUE_BYTES + 1, 0));
    }

    #[test]
    fn a_full_disk_stops_it_and_says_so() {
        let path = Path::new("/dev/full");
        let file = File::options().write(true).open(path).unwrap();
        let disk = Disk::start(file, path, 0).unwrap();
        disk.append(vec![0; 10]).unwrap();
        let full = |error: &DiskError| {
            matches!(error, DiskError::Failed { source, .. }
                if source.kind() == io::ErrorKind::StorageFull)
        };
        while disk.append(vec![0; 10]).as_ref().err().is_none_or(|error| !full(error)) {
            thread::yield_now();
        }
        assert!(full(&disk.close().unwrap_err()));
    }
}

//! An encoder on a thread of its own, which is given up when it answers no more.
//!
//! For the encoders of graphics cards: a driver that hangs would hold up the encode
//! thread, and with it the recording, for ever. Used by `coder`.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use super::coder::{Coded, Coder, ParameterSets};
use super::error::EncodeError;
use crate::media::Picture;

/// How long an encoder may take to be opened: drivers load firmware.
const OPENING: Duration = Duration::from_secs(10);

/// How long it may take for one picture. The intake keeps pictures for about as long.
const PATIENCE: Duration = Duration::from_secs(1);

type Work = (Arc<Picture>, bool);

pub(super) struct Watched {
    codec: &'static str,
    sets: ParameterSets,
    work: Sender<Work>,
    done: Receiver<Result<Coded, EncodeError>>,
}

impl Watched {
    /// Opens an encoder, which errors call `codec`, on a thread with this niceness.
    pub(super) fn start<C: Coder + ?Sized + 'static>(
        codec: &'static str,
        open: impl FnOnce() -> Result<Box<C>, EncodeError> + Send + 'static,
        nice: i32,
    ) -> Result<Self, EncodeError> {
        let (work, to_do) = channel::<Work>();
        let (answer, done) = channel();
        let (opened, opening) = channel();
        let run = move || {
            // With the priority it has it works as well, only less politely.
            let _ = rustix::process::setpriority_process(None, nice);
            let mut coder = match open() {
                Ok(coder) => {
                    let _ = opened.send(Ok(coder.parameter_sets()));
                    coder
                }
                Err(error) => {
                    let _ = opened.send(Err(error));
                    return;
                }
            };
            for (picture, repeat) in to_do {
                if answer.send(coder.encode(&picture, repeat)).is_err() {
                    return;
                }
            }
        };
        // Nobody joins it: one that hangs is left to itself.
        thread::Builder::new()
            .name("picture".to_owned())
            .spawn(run)
            .map_err(|error| EncodeError::Thread(format!("cannot start: {error}")))?;
        let sets =
            opening.recv_timeout(OPENING).map_err(|error| silent(codec, error, OPENING))??;
        Ok(Self { codec, sets, work, done })
    }
}

impl Coder for Watched {
    fn parameter_sets(&self) -> ParameterSets {
        self.sets.clone()
    }

    fn encode(&mut self, picture: &Arc<Picture>, repeat: bool) -> Result<Coded, EncodeError> {
        // If nobody takes it, nobody answers.
        let _ = self.work.send((Arc::clone(picture), repeat));
        self.done.recv_timeout(PATIENCE).map_err(|error| silent(self.codec, error, PATIENCE))?
    }
}

fn silent(codec: &'static str, error: RecvTimeoutError, limit: Duration) -> EncodeError {
    let problem = match error {
        RecvTimeoutError::Timeout => format!("it did not answer for {limit:?}"),
        RecvTimeoutError::Disconnected => "its thread ended by itself".to_owned(),
    };
    EncodeError::Codec { codec, problem }
}

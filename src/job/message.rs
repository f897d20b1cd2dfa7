//! What a recorder process tells (journal events), is told (commands) and
//! measures (stats, summary). One JSON object a line on every channel.

use serde::{Deserialize, Serialize};

use super::encoder::EncoderKind;
use super::life::{FailureKind, StopReason};
use super::spec::Resolution;
use crate::clock::Mono;

/// One line of a recording's journal, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The recorder process is up; `pid` is its process id.
    Started {
        /// Process id of the recorder.
        pid: u32,
        /// What is recorded, for whoever finds the directory without its job.
        #[serde(default)]
        what: Option<What>,
    },
    /// A browser runs in its own process group.
    Browser {
        /// Process id and process group of Chromium.
        pid: u32,
        /// Start time of that process, clock ticks since boot (`/proc/PID/stat` field 22).
        start_ticks: u64,
        /// What `Browser.getVersion` answered.
        version: String,
    },
    /// What makes the picture: told before the first frame, and again when another
    /// has to take its place.
    Encoder {
        /// From here on.
        encoder: EncoderKind,
    },
    /// The meeting was joined, by `how`: `signal`, `media` or `load`.
    Joined {
        /// The reading that decided it.
        how: String,
        /// When, on the monotonic clock.
        at: Mono,
        /// Reloads it took.
        reloads: u32,
    },
    /// The first frame of the file was taken: T0.
    FirstFrame {
        /// T0 on the monotonic clock.
        t0: Mono,
        /// Wall clock at T0, milliseconds since the Unix epoch.
        epoch_ms: i64,
    },
    /// Who else is in the room, whenever that changes, from the moment of joining
    /// on. Told within the second that the page shows it in.
    ///
    /// `Some(0)` is only told of a room that is known to be empty, and the finished
    /// file never ends before the last such event of a recording.
    Peers {
        /// Others in the room, recorders not counted; `None`: somebody may be there.
        count: Option<u32>,
        /// Those whose names the page shows; may be fewer than `count`.
        #[serde(default)]
        peers: Vec<Peer>,
    },
    /// The page knows the meeting's session by an id of the software's own; told once.
    Session {
        /// As the page says it: whoever reads this has to check it.
        id: String,
    },
    /// Once a second while recording.
    Stats(Stats),
    /// Something happened that a reader of the log wants to know.
    Notice {
        /// A sentence readable alone.
        message: String,
    },
    /// Frames are left out from here on; told once for each real change. Before
    /// `FirstFrame` it means that the file will begin when it is resumed.
    Paused {
        /// When, on the monotonic clock.
        at: Mono,
    },
    /// Frames are taken again from here on; told once for each real change.
    Resumed {
        /// When, on the monotonic clock.
        at: Mono,
    },
    /// Recording is over, the file is being finalised.
    Stopped {
        /// Why.
        reason: StopReason,
        /// The end of the file on the monotonic clock.
        at: Mono,
        /// Seconds of file, pauses not counted.
        #[serde(default)]
        recorded_s: f64,
        /// Seconds at the end, beyond those, that were recorded of an empty room
        /// and are not in the file.
        #[serde(default)]
        trimmed_s: f64,
    },
    /// The file is complete.
    Finished(Summary),
    /// A recorder that died left this file, finished by `recorder --salvage`. Told
    /// again each time that is run; the stats are the last ones known, so `uniform`
    /// and `loudest_dbfs` still say what was seen and heard.
    Salvaged(Summary),
    /// The job failed; a final event like `Finished`.
    Failed {
        /// The contract's error type.
        kind: FailureKind,
        /// A sentence with the reason, free of secrets.
        message: String,
        /// The finished file of what had been recorded by then, if there is one.
        #[serde(default)]
        file: Option<Summary>,
    },
}

/// Somebody in the room, as the page names them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Peer {
    /// The meeting software's own id; may be empty.
    pub id: String,
    /// The name shown; may be empty.
    pub name: String,
    /// The role, where the software has roles.
    pub role: String,
}

/// What a recording is of: enough to tell whose file a directory holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct What {
    /// The room's id in the caller's system.
    pub room_id: String,
    /// Size of the picture.
    pub resolution: Resolution,
    /// Sound alone.
    pub audio_only: bool,
}

/// What the control socket of a recorder process takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// End the recording with this reason and finalise the file.
    Stop {
        /// What the journal will say.
        reason: StopReason,
    },
    /// Take no frames until a resume. Pausing a paused recording changes nothing.
    Pause,
    /// Take frames again. Resuming one that runs changes nothing.
    Resume,
    /// Answer with the newest stats.
    Status,
}

/// What the control socket answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// The command was taken.
    Ok,
    /// Answer to [`Command::Status`].
    Status(Stats),
    /// The line was no command.
    Error {
        /// What was wrong.
        message: String,
    },
}

/// Counters of a running recording.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Seconds of file written so far.
    pub elapsed_s: f64,
    /// Pictures the page painted (commits of new content) since T0.
    pub painted: u64,
    /// Frames in the file; of sound alone, those that its time would hold.
    pub recorded: u64,
    /// Frames in the file that repeat the one before, for whatever reason.
    pub repeated: u64,
    /// Of those, frames repeated because the encoder or the machine was late.
    pub late: u64,
    /// Painted pictures that were replaced by a newer one before their tick.
    pub superseded: u64,
    /// Loudness of the last second, dBFS RMS over both channels; -120 when silent.
    pub audio_dbfs: f64,
    /// Loudest sample so far, dBFS; -120 when all was silent.
    #[serde(default = "silence")]
    pub loudest_dbfs: f64,
    /// Every picture so far was one colour, each its own (99 % of it within 3 of
    /// 255 in every plane), or there was none.
    #[serde(default)]
    pub uniform: bool,
    /// Seconds of file at which the picture last changed.
    #[serde(default)]
    pub changed_s: f64,
    /// Bytes of the file on disk.
    pub bytes: u64,
    /// Seconds that coding the picture has taken so far.
    #[serde(default)]
    pub coding_s: f64,
    /// By how many seconds of file time the sound that has come ends before the
    /// picture does. Both stand on one clock: this is how late sound comes, not by how
    /// much it is off.
    #[serde(default)]
    pub sound_lag_s: f64,
    /// Frames waiting because the encoder is behind.
    pub backlog: u32,
}

/// What a finished file is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Seconds of picture and sound.
    pub duration_s: f64,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Pixels per row; 0 in a file of sound alone.
    pub width: u32,
    /// Rows; 0 in a file of sound alone.
    pub height: u32,
    /// Final counters, of what was recorded and then left out of the file as well.
    pub stats: Stats,
    /// Seconds at the end that were recorded of an empty room and left out.
    #[serde(default)]
    pub trimmed_s: f64,
    /// What made the picture: one, or one and what took its place when it failed.
    #[serde(default)]
    pub encoders: Vec<EncoderKind>,
    /// What a viewer may wonder about, a sentence each.
    #[serde(default)]
    pub warnings: Vec<String>,
}

fn silence() -> f64 {
    -120.0
}

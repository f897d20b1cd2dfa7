//! Exit codes: what a script can tell apart without reading.

use std::fmt;
use std::process::ExitCode;

use roomreel::recorder::RecordError;

/// An error with the exit code that tells its kind.
///
/// | code | meaning |
/// |---|---|
/// | 0 | success |
/// | 1 | anything else |
/// | 2 | bad arguments or configuration |
/// | 3 | the meeting could not be joined |
/// | 4 | the browser, screen or speaker failed |
/// | 5 | the disk or the output failed |
/// | 6 | less than a second was recorded; the file is kept |
/// | 7 | the recording is blank: one colour and silence; the file is kept |
/// | 8 | nobody but the recorder came to the meeting; nothing is kept, unless by `--trim-empty never` |
/// | 130 | aborted by a second Ctrl-C; what was recorded is kept |
#[derive(Debug)]
pub(crate) struct Exit {
    code: u8,
    error: anyhow::Error,
}

impl Exit {
    pub(crate) fn failure(error: impl Into<anyhow::Error>) -> Self {
        Self { code: 1, error: error.into() }
    }

    pub(crate) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self { code: 2, error: error.into() }
    }

    pub(crate) fn disk(error: impl Into<anyhow::Error>) -> Self {
        Self { code: 5, error: error.into() }
    }

    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl From<RecordError> for Exit {
    fn from(error: RecordError) -> Self {
        let code = match &error {
            RecordError::NotJoined { .. } | RecordError::StoppedBeforeJoin => 3,
            RecordError::Browser(_) | RecordError::Device(_) => 4,
            RecordError::Disk(_) => 5,
            RecordError::Encoder(_) => 1,
            RecordError::Short { .. } => 6,
            RecordError::Blank { .. } => 7,
            RecordError::NobodyJoined { .. } => 8,
            RecordError::Aborted => 130,
        };
        Self { code, error: error.into() }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

//! What to do about a recording that failed.

use crate::job::FailureKind;

/// A sentence or two for whoever runs the service.
pub(super) fn on(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::InternalError => {
            "The browser, the encoder or the disk failed. `roomreel bug-report` with the id of \
             this recording writes down all that is known of it, without its secrets. Start the \
             recording again once the cause is gone."
        }
        FailureKind::MaxRetriesReached => {
            "The bot was not in the meeting in time. Open the meeting's address in a browser of \
             your own: it has to lead into the meeting without a click, and its token has to be \
             good. A page that needs longer wants a longer recording.join_timeout; one that is no \
             meeting wants recording.join = \"load\"."
        }
        FailureKind::UploadError => {
            "The storage did not take the file, which is kept on this machine. See what is wrong \
             on the page Storage, mend that, and upload the file again."
        }
        FailureKind::BeamStopped => {
            "It was stopped before the bot was in the meeting, so there is nothing to keep. Start \
             it again if that was too early."
        }
        FailureKind::ShortRecordingError => {
            "Less than a second was recorded: it was stopped, or the meeting ended, right after \
             the bot had come in. The file is kept."
        }
        FailureKind::BlankRecordingError => {
            "The page showed a single colour and was silent from beginning to end. Open the \
             meeting's address in a browser of your own and see whether it shows anything without \
             a click. The file is kept."
        }
        FailureKind::NobodyJoined => {
            "Nobody but the bot was in the meeting. If people were there, the room or the address \
             is another one, or the page cannot tell who is there: presence.expression can ask it. \
             presence.nobody_timeout says how long the bot waits."
        }
    }
}

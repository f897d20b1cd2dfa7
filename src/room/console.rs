//! What pages made for a recorder say on the console.

/// A word of the page, as LiveKit's egress templates say them (`startRecording`
/// and `endRecording` of `@livekit/egress-sdk` 0.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// The page takes part in the meeting.
    Start,
    /// The meeting is over.
    End,
}

impl Token {
    /// The token that a console line is; it has to be all of the line.
    pub fn read(line: &str) -> Option<Self> {
        match line {
            "START_RECORDING" => Some(Self::Start),
            "END_RECORDING" => Some(Self::End),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_whole_line() {
        assert_eq!(Token::read("START_RECORDING"), Some(Token::Start));
        assert_eq!(Token::read("END_RECORDING"), Some(Token::End));
        for line in
            ["", "start_recording", "END_RECORDING ", "sent END_RECORDING", "\"END_RECORDING\""]
        {
            assert_eq!(Token::read(line), None);
        }
    }
}

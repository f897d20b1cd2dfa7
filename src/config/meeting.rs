//! `[meeting]`: the address of a room whose start names none.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::job::RecordingSpec;

/// `[meeting]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Meeting {
    /// Address with `{room_id}`, `{role}`, `{name}` and `{auth_token}` to be filled
    /// in; empty: every start has to name its meeting.
    pub url_template: String,
    /// What `{role}` becomes, and the role in `{auth_token}`.
    pub role: String,
    /// What `{name}` becomes: the bot's name in the room.
    pub name: String,
}

impl Default for Meeting {
    fn default() -> Self {
        Self {
            url_template: String::new(),
            role: "__internal_recorder".into(),
            name: "Recorder".into(),
        }
    }
}

const TOKEN: &str = "{auth_token}";

impl Meeting {
    /// True if a start need not name its meeting.
    pub fn has_template(&self) -> bool {
        !self.url_template.is_empty()
    }

    /// True if the address holds a token of the bot's own.
    pub fn wants_token(&self) -> bool {
        self.url_template.contains(TOKEN)
    }

    /// The address of a room; `None` without a template.
    pub fn url(&self, room_id: &str, auth_token: &str) -> Option<String> {
        self.has_template().then(|| {
            let mut url = self.url_template.clone();
            // A value that was filled in holds no brace, so nothing is found in it.
            for (name, value) in [
                ("{room_id}", room_id),
                ("{role}", &self.role),
                ("{name}", &self.name),
                (TOKEN, auth_token),
            ] {
                url = url.replace(name, &percent(value));
            }
            url
        })
    }

    /// What is wrong, as setting and problem; `signs` if there is a key to sign the
    /// bot's token with. The template itself is not repeated: it may hold a token.
    pub(super) fn check(&self, signs: bool) -> Result<(), (&'static str, String)> {
        const SETTING: &str = "meeting.url_template";
        let Some(url) = self.url("room", "token") else { return Ok(()) };
        if url.contains(['{', '}']) {
            let problem = "knows no other placeholders than {room_id}, {role}, {name} and \
                           {auth_token}";
            return Err((SETTING, problem.into()));
        }
        RecordingSpec::parse_meeting_url(&url).map_err(|bad| (SETTING, bad.problem))?;
        // A room's own host would let a caller choose the host by its room's name.
        let host = |room: &str| {
            Url::parse(&self.url(room, "token")?).ok().map(|u| u.authority().to_owned())
        };
        if host("a") != host("b") {
            return Err((SETTING, "{room_id} must come after the host".into()));
        }
        if self.wants_token() && !signs {
            let problem = "{auth_token} needs a key to sign it with: set auth.app_key or auth.keys";
            return Err((SETTING, problem.into()));
        }
        Ok(())
    }
}

/// Everything but unreserved characters percent-encoded (RFC 3986, section 2.3),
/// so that a value stays one segment or one parameter wherever it is put.
fn percent(value: &str) -> String {
    let one = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    value.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meeting(template: &str) -> Meeting {
        Meeting { url_template: template.into(), ..Meeting::default() }
    }

    #[test]
    fn values_stay_where_they_are_put() {
        let template = "https://meet.example/{room_id}/{role}?name={name}&auth_token={auth_token}";
        let meeting = Meeting { name: "R&D bot/é".into(), ..meeting(template) };
        assert_eq!(
            meeting.url("r.1", "a.b-c").unwrap(),
            "https://meet.example/r.1/__internal_recorder?name=R%26D%20bot%2F%C3%A9&auth_token=a.b-c"
        );
        assert_eq!(Meeting::default().url("r", ""), None);
    }

    #[test]
    fn templates_that_cannot_work() {
        assert_eq!(Meeting::default().check(false), Ok(()));
        assert_eq!(meeting("https://meet.example/{room_id}").check(false), Ok(()));
        for (template, signs, needle) in [
            ("https://meet.example/{room}", true, "{room_id}, {role}, {name}"),
            ("meet.example/{room_id}", true, "not a URL"),
            ("ftp://meet.example/{room_id}", true, "http or https"),
            ("https://{room_id}.meet.example/", true, "after the host"),
            ("https://meet.example/?t={auth_token}", false, "auth.app_key"),
        ] {
            let (setting, problem) = meeting(template).check(signs).unwrap_err();
            assert_eq!(setting, "meeting.url_template");
            assert!(problem.contains(needle), "{template}: {problem}");
        }
    }
}

//! Who in a room is no participant: recorders, ours and others'.

use crate::config::Config;
use crate::session::Peer;

/// Tells bots from people. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bots {
    roles: Vec<String>,
    names: Vec<String>,
    /// Role and name of our own bot, as the configuration gives them to it.
    own: (String, String),
}

impl Bots {
    /// Those of the configuration.
    pub fn new(config: &Config) -> Self {
        let (rules, meeting) = (&config.automation, &config.meeting);
        Self {
            roles: rules.bot_roles.clone(),
            names: rules.bot_names.clone(),
            own: (meeting.role.clone(), meeting.name.clone()),
        }
    }

    /// True if the peer is no participant.
    pub fn has(&self, peer: &Peer) -> bool {
        let named = |name: &String| *name == peer.name || *name == peer.user_id;
        let (role, name) = &self.own;
        matches(&self.roles, &peer.role)
            || matches(&self.names, &peer.name)
            || matches(&self.names, &peer.user_id)
            || (*role == peer.role && named(name))
    }
}

/// True if one of the patterns is the text, or the beginning of it before a `*`.
pub(super) fn matches(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(beginning) => text.starts_with(beginning),
        None => pattern == text,
    })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn peer(role: &str, name: &str, user_id: &str) -> Peer {
        Peer {
            joined_at: DateTime::UNIX_EPOCH,
            id: "p".into(),
            name: name.into(),
            user_id: user_id.into(),
            metadata: String::new(),
            role: role.into(),
        }
    }

    #[test]
    fn bots_are_told_by_role_name_and_user() {
        let mut config = Config::default();
        config.automation.bot_names = vec!["Beam".into(), "notetaker-*".into()];
        config.meeting.role = "viewer".into();
        let bots = Bots::new(&config);
        for (role, name, user_id, bot) in [
            ("__internal_recorder", "", "", true),
            ("__internal_other", "Ann", "ann", true),
            ("guest", "Beam", "", true),
            ("guest", "", "notetaker-7", true),
            // Our own has both: a viewer alone is a person, and so is its namesake.
            ("viewer", "Recorder", "", true),
            ("viewer", "", "Recorder", true),
            ("viewer", "Ann", "ann", false),
            ("host", "Recorder", "", false),
            ("", "", "", false),
        ] {
            assert_eq!(bots.has(&peer(role, name, user_id)), bot, "{role} {name} {user_id}");
        }
    }
}

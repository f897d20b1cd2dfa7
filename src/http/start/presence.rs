//! What a start says of presence, put over what is configured.

use super::Start;
use crate::job::{BadSpec, PresenceRule};

impl Start {
    /// `configured` with what the caller wants otherwise; `None` if that is nothing.
    pub(super) fn presence(
        &self,
        configured: PresenceRule,
    ) -> Result<Option<PresenceRule>, BadSpec> {
        let trim_empty = self.trim_empty.as_deref().map(str::parse).transpose()?;
        let no_media = match self.no_media_timeout {
            // Zero turns off what the configuration may have turned on.
            Some(seconds) => (seconds != 0.0).then_some(seconds),
            None => configured.no_media_timeout_s,
        };
        let wanted = PresenceRule {
            empty_timeout_s: self.empty_timeout.unwrap_or(configured.empty_timeout_s),
            nobody_timeout_s: self.nobody_timeout.unwrap_or(configured.nobody_timeout_s),
            no_media_timeout_s: no_media,
            expression: self.presence_expression.clone().or(configured.expression.clone()),
            trim_empty: trim_empty.unwrap_or(configured.trim_empty),
            trim_start: self.trim_start.unwrap_or(configured.trim_start),
            ..configured.clone()
        };
        wanted.check()?;
        Ok((wanted != configured).then_some(wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::TrimEmpty;

    #[test]
    fn a_request_wins_over_the_configuration() {
        let configured = PresenceRule { no_media_timeout_s: Some(60.0), ..Default::default() };
        let presence =
            |text: &str| serde_json::from_str::<Start>(text).unwrap().presence(configured.clone());
        assert_eq!(presence("{}"), Ok(None));
        let text = r#"{"empty_timeout":60,"nobody_timeout":90.5,"no_media_timeout":0,
            "presence_expression":"n - 1","trim_empty":"always","trim_start":true}"#;
        let wanted = PresenceRule {
            empty_timeout_s: 60.0,
            nobody_timeout_s: 90.5,
            no_media_timeout_s: None,
            expression: Some("n - 1".into()),
            trim_empty: TrimEmpty::Always,
            trim_start: true,
            ..configured.clone()
        };
        assert_eq!(presence(text), Ok(Some(wanted)));
        for (text, field) in [
            (r#"{"empty_timeout":0}"#, "empty_timeout"),
            (r#"{"nobody_timeout":100000}"#, "nobody_timeout"),
            (r#"{"no_media_timeout":0.1}"#, "no_media_timeout"),
            (r#"{"presence_expression":""}"#, "presence_expression"),
            (r#"{"trim_empty":"yes"}"#, "trim_empty"),
        ] {
            assert_eq!(presence(text).unwrap_err().field, field);
        }
    }
}

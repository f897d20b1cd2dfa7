//! What each kind of meeting software shows of its room to a script.
//!
//! A probe is one file with one function: `null` if the page is not of its kind,
//! otherwise `{joined, peers, count, session, over, error}`, of which `read.js` makes a
//! [`Sight`](super::Sight). `docs/presence.md` says how to add one.

/// Name and function of every probe. The first that knows the page is believed.
const PROBES: &[(&str, &str)] = &[
    (SIGNAL, include_str!("probes/roomreel.js")),
    ("100ms", include_str!("probes/hms.js")),
    ("livekit", include_str!("probes/livekit.js")),
    ("jitsi", include_str!("probes/jitsi.js")),
    ("daily", include_str!("probes/daily.js")),
    ("bigbluebutton", include_str!("probes/bigbluebutton.js")),
    ("janus", include_str!("probes/janus.js")),
];

/// The page's own word.
pub(super) const SIGNAL: &str = "signal";

/// The operator's or the caller's own expression.
const EXPRESSION: &str = "expression";

/// The name as the table has it; a page's word is never repeated.
pub(super) fn name_of(said: &str) -> &'static str {
    let known = PROBES.iter().map(|(name, _)| *name).chain([EXPRESSION]);
    known.into_iter().find(|name| *name == said).unwrap_or(SIGNAL)
}

/// An expression whose promise gives a [`Reading`](super::Reading) as JSON.
///
/// With an `expression` of somebody's own that one is asked and no probe. It may
/// give what a probe gives, `true` or `false` (joined), a number (of others), or a
/// promise of these; one that throws or cannot be parsed says nothing.
pub fn read_expression(expression: Option<&str>) -> String {
    let probes = match expression {
        Some(text) => {
            // As a string: a mistake in it must not become one of the whole script.
            let text = serde_json::Value::from(format!("({text}\n)"));
            format!("[\"{EXPRESSION}\", () => (0, eval)({text})],\n")
        }
        None => PROBES.iter().map(|(name, code)| format!("[\"{name}\",\n{code}],\n")).collect(),
    };
    let read = include_str!("read.js");
    format!("(async () => {{\nconst PROBES = [\n{probes}];\n{read}}})()")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_table_s_own() {
        assert_eq!([name_of("janus"), name_of("expression")], ["janus", "expression"]);
        assert_eq!(name_of("<b>"), SIGNAL);
        let mut names: Vec<_> = PROBES.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PROBES.len());
    }

    #[test]
    fn an_expression_takes_the_place_of_the_probes() {
        let text = read_expression(Some("a\"b\n// c"));
        assert!(text.contains(r#"(0, eval)("(a\"b\n// c\n)")"#), "{text}");
        assert!(!text.contains("__hms"));
        assert!(read_expression(None).contains("__hms"));
    }
}

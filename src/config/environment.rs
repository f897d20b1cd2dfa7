//! Environment variables as settings: `ROOMREEL_SECTION__KEY=value`.

use std::ffi::OsString;

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

/// Every variable of the service begins with it.
const PREFIX: &str = "ROOMREEL_";
/// Between section and key. A variable without it is not a setting, so that
/// others, a log filter for example, may share the prefix.
const SEPARATOR: &str = "__";

/// One variable, one setting.
pub(super) struct Variable {
    name: String,
    value: String,
}

/// The variables among `env` that name a setting. One that is not Unicode
/// cannot, as no setting is.
pub(super) fn overrides(
    env: impl IntoIterator<Item = (OsString, OsString)>,
) -> impl Iterator<Item = Variable> {
    env.into_iter().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        is_setting(&name).then(|| Variable { name, value: value.to_string_lossy().into_owned() })
    })
}

/// True for a variable that this module reads as a setting.
pub(crate) fn is_setting(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|rest| rest.contains(SEPARATOR))
}

impl Provider for Variable {
    fn metadata(&self) -> Metadata {
        Metadata::named(format!("environment variable {}", self.name))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let key = self.name[PREFIX.len()..].to_lowercase().replace(SEPARATOR, ".");
        // Reads numbers, booleans and [lists] as such and the rest as a string.
        let Ok(value) = self.value.parse::<Value>();
        let nested = figment::util::nest(&key, value).into_dict().unwrap_or_default();
        Ok(Profile::Default.collect(nested))
    }
}

//! The parts of the protocol's events that are used; field names are its own
//! (<https://chromedevtools.github.io/devtools-protocol/tot/>).

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use super::cdp::Session;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TargetInfo {
    pub(super) target_id: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TargetEvent {
    pub(super) target_info: TargetInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TargetGone {
    pub(super) target_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Attached {
    pub(super) session_id: Session,
    pub(super) target_info: TargetInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Detached {
    pub(super) session_id: Session,
}

#[derive(Deserialize)]
pub(super) struct Dialog {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RequestPaused {
    pub(super) request_id: String,
    pub(super) request: PausedRequest,
}

#[derive(Deserialize)]
pub(super) struct PausedRequest {
    pub(super) url: String,
    pub(super) headers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuthRequired {
    pub(super) request_id: String,
    pub(super) auth_challenge: Challenge,
}

#[derive(Deserialize)]
pub(super) struct Challenge {
    /// `Server` or `Proxy`.
    pub(super) source: Option<String>,
    pub(super) origin: String,
}

#[derive(Deserialize)]
pub(super) struct ContextCreated {
    pub(super) context: ContextInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContextInfo {
    pub(super) unique_id: String,
    #[serde(rename = "auxData")]
    pub(super) aux: ContextAux,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContextAux {
    pub(super) is_default: bool,
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) frame_id: String,
}

#[derive(Deserialize)]
pub(super) struct ContextGone {
    #[serde(rename = "executionContextUniqueId")]
    pub(super) unique_id: String,
}

#[derive(Deserialize)]
pub(super) struct ConsoleCall {
    #[serde(rename = "type")]
    pub(super) level: String,
    pub(super) args: Vec<RemoteValue>,
}

#[derive(Deserialize)]
pub(super) struct RemoteValue {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    pub(super) value: Option<Value>,
    pub(super) description: Option<String>,
}

impl RemoteValue {
    /// As the console would show it in a line.
    pub(super) fn text(&self) -> String {
        match (&self.value, &self.description) {
            (Some(Value::String(text)), _) | (None, Some(text)) => text.clone(),
            (Some(value), _) => value.to_string(),
            (None, None) if self.kind == "undefined" => "undefined".into(),
            (None, None) => "null".into(),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Thrown {
    #[serde(rename = "exceptionDetails")]
    pub(super) details: Exception,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Life {
    pub(super) frame_id: String,
    pub(super) loader_id: String,
    pub(super) name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    /// A document's request has the id of its loader.
    pub(super) request_id: String,
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) frame_id: String,
    pub(super) request: RequestInfo,
}

#[derive(Deserialize)]
pub(super) struct RequestInfo {
    pub(super) url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response {
    pub(super) request_id: String,
    pub(super) response: ResponseInfo,
}

#[derive(Deserialize)]
pub(super) struct ResponseInfo {
    pub(super) status: u16,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Failed {
    pub(super) request_id: String,
    pub(super) error_text: String,
}

/// `Runtime.ExceptionDetails`, as far as it is shown.
#[derive(Deserialize)]
pub(super) struct Exception {
    text: String,
    exception: Option<ThrownValue>,
}

#[derive(Deserialize)]
struct ThrownValue {
    description: Option<String>,
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let description = self.exception.as_ref().and_then(|thrown| thrown.description.as_deref());
        f.write_str(description.unwrap_or(&self.text))
    }
}

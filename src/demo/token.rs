//! `auth_token=`: the claims of a room token, read WITHOUT checking the
//! signature. The demo room has no secret and keeps nobody out; it reads tokens
//! so that links made for a real product work here and fail here likewise.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::rooms::is_id;
use super::wire::{Join, Refusal};

/// The claims this server looks at (RFC 7519; times are `NumericDate`, which
/// may have a fraction).
#[derive(Debug, Deserialize)]
struct Claims {
    room_id: Option<String>,
    role: Option<String>,
    user_id: Option<String>,
    exp: Option<f64>,
    nbf: Option<f64>,
}

/// Applies the token of a join, if it has one: a token for another room, an
/// expired or unreadable one refuses, and its role and user win
/// over the link's.
/// `now` is in seconds since 1970.
pub(super) fn apply(mut join: Join, now: f64) -> Result<Join, Refusal> {
    let Some(token) = join.auth_token.take() else { return Ok(join) };
    let claims = read(&token).ok_or(Refusal::BadToken)?;
    if claims.exp.is_some_and(|exp| now >= exp) {
        return Err(Refusal::TokenExpired);
    }
    if claims.nbf.is_some_and(|nbf| now < nbf) {
        return Err(Refusal::TokenNotYetValid);
    }
    if claims.room_id.is_some_and(|room| room != join.room) {
        return Err(Refusal::TokenForOtherRoom);
    }
    join.user_id = claims.user_id.or(join.user_id);
    if let Some(role) = claims.role {
        if !is_id(&role) {
            return Err(Refusal::BadToken);
        }
        join.role = role;
    }
    Ok(join)
}

/// The compact form of RFC 7515: header, payload, signature; each of them has
/// to be base64url, the first two JSON objects.
fn read(token: &str) -> Option<Claims> {
    let mut parts = token.split('.');
    let (header, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || URL_SAFE_NO_PAD.decode(signature).is_err() {
        return None;
    }
    let header = URL_SAFE_NO_PAD.decode(header).ok()?;
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&header).ok()?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: f64 = 1_800_000_000.0;

    fn signed(claims: &serde_json::Value) -> String {
        let part = |v: &serde_json::Value| URL_SAFE_NO_PAD.encode(v.to_string());
        format!("{}.{}.c2ln", part(&json!({"alg": "HS256", "typ": "JWT"})), part(claims))
    }

    fn role_with(token: Option<String>) -> Result<String, Refusal> {
        let join = Join {
            room: "r".into(),
            role: "guest".into(),
            name: String::new(),
            user_id: None,
            auth_token: token,
            subscribe: true,
        };
        apply(join, NOW).map(|j| j.role)
    }

    #[test]
    fn claims_decide() {
        let table = [
            (json!({}), Ok("guest")),
            (
                json!({"role": "__internal_recorder", "room_id": "r", "user_id": "u"}),
                Ok("__internal_recorder"),
            ),
            (json!({"exp": NOW + 1.0, "nbf": NOW}), Ok("guest")),
            (json!({"exp": NOW}), Err(Refusal::TokenExpired)),
            (json!({"nbf": NOW + 1.0}), Err(Refusal::TokenNotYetValid)),
            (json!({"room_id": "s"}), Err(Refusal::TokenForOtherRoom)),
            (json!({"role": "a/b"}), Err(Refusal::BadToken)),
            (json!({"exp": "soon"}), Err(Refusal::BadToken)),
            (json!([]), Err(Refusal::BadToken)),
        ];
        for (claims, expected) in table {
            let got = role_with(Some(signed(&claims)));
            assert_eq!(got, expected.map(String::from), "{claims}");
        }
        assert_eq!(role_with(None), Ok("guest".into()));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let good = signed(&json!({}));
        for bad in ["", "x", "a.b.c", "..", &format!("{good}.x"), &good.replace(".c2ln", "")] {
            assert_eq!(role_with(Some(bad.into())), Err(Refusal::BadToken), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_answered(text in "\\PC*") {
            let _ = role_with(Some(text));
        }
    }
}

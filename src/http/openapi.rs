//! The API's document (OpenAPI 3.1): what all routes share. Each route's own part
//! stands at its handler; a test holds the whole to a checked-in copy.

use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{OpenApi, RefOr};
use utoipa::{IntoResponses, OpenApi as _};

use super::assets::AssetType;
use super::auth;
use super::error::ErrorView;
use super::refusals::{Internal, NotJson, Refused, TooLarge, TooManyFailures, Unauthorized};

/// The name of the one security scheme.
const SCHEME: &str = "management_token";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "roomreel",
        description = "Records browser meetings. Routes, shapes and texts are those of the \
                       100ms recordings API v2; docs/api.md tells what differs.\n\n\
                       Answers are JSON and end with a newline; every success is 200. \
                       Unknown fields and parameters are ignored, and an empty parameter or a \
                       `null` is as good as none.",
    ),
    tags(
        (name = "recordings", description = "Recordings of rooms"),
        (name = "assets", description = "Finished files and links to them"),
        (name = "pictures", description = "Recordings to look at, also while they go on"),
        (name = "rooms", description = "What happens in rooms, told and asked"),
        (name = "webhooks", description = "What was told to webhook endpoints"),
        (name = "health", description = "For load balancers and orchestrators"),
    ),
    components(schemas(ErrorView, AssetType)),
)]
struct Base;

/// The document without routes.
pub(super) fn base() -> OpenApi {
    Base::openapi()
}

/// Adds what is true of every route: who may call, and how that is refused.
pub(super) fn finish(mut document: OpenApi) -> OpenApi {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("A management token, HS256; needed if `auth.keys` are configured"))
        .build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(SCHEME, SecurityScheme::Http(bearer));
    document.security = Some(vec![SecurityRequirement::new::<_, [&str; 0], &str>(SCHEME, [])]);

    for (path, item) in &mut document.paths.paths {
        let operations = [&mut item.get, &mut item.post, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            qualify(operation);
            let mut shared: Vec<_> = [Refused::responses(), TooLarge::responses()].into();
            shared.extend([NotJson::responses(), Internal::responses()]);
            if !auth::OPEN.contains(&path.as_str()) {
                shared.extend([Unauthorized::responses(), TooManyFailures::responses()]);
            }
            for (code, response) in shared.into_iter().flatten() {
                operation.responses.responses.entry(code).or_insert(response);
            }
            for response in operation.responses.responses.values_mut() {
                if let RefOr::T(response) = response {
                    rename(response);
                }
            }
        }
    }
    document
}

/// Makes `recordings_list` of the handler's name `list`: ids are those of the
/// whole document (OpenAPI 3.1, section 4.8.10).
fn qualify(operation: &mut Operation) {
    let tag = operation.tags.iter().flatten().next();
    if let (Some(tag), Some(id)) = (tag, &operation.operation_id) {
        operation.operation_id = Some(format!("{tag}_{id}"));
    }
}

/// JSON is answered with this media type everywhere, as the contract's service
/// does.
fn rename(response: &mut utoipa::openapi::Response) {
    if let Some(content) = response.content.shift_remove("application/json") {
        response.content.insert("application/json;charset=utf-8".into(), content);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::routes;

    #[test]
    fn every_operation_has_an_id_of_its_own() {
        let document = serde_json::to_value(routes::document()).unwrap();
        let paths = document["paths"].as_object().unwrap().values();
        let ids: Vec<_> = paths
            .flat_map(|item| item.as_object().unwrap().values())
            .filter_map(|operation| operation["operationId"].as_str())
            .collect();
        assert!(ids.len() >= 16, "{ids:?}");
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
        for linked in document.to_string().split("\"operationId\":\"").skip(1) {
            let linked = linked.split('"').next().unwrap();
            assert!(ids.contains(&linked), "{linked} is linked to and is no operation");
        }
    }

    #[test]
    fn the_document_is_the_one_that_is_checked_in() {
        let mut document = serde_json::to_value(routes::document()).unwrap();
        document["info"]["version"] = "[version]".into();
        insta::assert_json_snapshot!("openapi", document);
    }
}

//! The one list of routes, and the layers around them.

use std::sync::Arc;

use axum::{Router, middleware};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::{Config as SwaggerConfig, SwaggerUi};

use super::attempts::Attempts;
use super::dashboard::{self, Desk};
use super::error::ApiError;
use super::guard::{self, Guard};
use super::{
    App, active_rooms, assets, auth, deliveries, files, headers, health, hooks, log, metrics,
    openapi, recordings, start, watch,
};
use crate::token::Keys;

/// Every route with what documents it.
fn list() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(start::start))
        .routes(routes!(recordings::stop_room))
        .routes(routes!(recordings::pause_room))
        .routes(routes!(recordings::resume_room))
        .routes(routes!(recordings::stop))
        .routes(routes!(recordings::upload))
        .routes(routes!(recordings::get, recordings::delete))
        .routes(routes!(recordings::list))
        .routes(routes!(watch::live))
        .routes(routes!(watch::thumbnail))
        .routes(routes!(watch::poster))
        .routes(routes!(watch::sprite))
        .routes(routes!(watch::sprite_index))
        .routes(routes!(assets::list))
        .routes(routes!(assets::get))
        .routes(routes!(assets::presign))
        .routes(routes!(files::download))
        .routes(routes!(hooks::room))
        .routes(routes!(active_rooms::get))
        .routes(routes!(active_rooms::peers))
        .routes(routes!(active_rooms::peer))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::replay))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(metrics::get))
}

/// The document of the routes.
pub(super) fn document() -> OpenApi {
    openapi::finish(list().into_openapi())
}

/// The routes with their document and everything that a request passes before.
pub(super) fn router(
    app: App,
    guard: Guard,
    keys: Keys,
    attempts: Arc<Attempts>,
    desk: Option<Desk>,
) -> Router {
    let (routes, _) = list().with_state(app).split_for_parts();
    let gate = auth::Gate::new(keys, attempts, desk.as_ref().map(Desk::sessions));
    // Relative, as a proxy may serve us under a path of its own.
    let docs = SwaggerUi::new("/docs")
        .url("/openapi.json", document())
        .config(SwaggerConfig::from("../openapi.json"));
    routes
        .merge(docs)
        .fallback(async || ApiError::no_such_route())
        .method_not_allowed_fallback(async || ApiError::wrong_method())
        .layer(middleware::from_fn_with_state(Arc::new(gate), auth::check))
        // It asks who is there in a way of its own.
        .merge(desk.map(dashboard::router).unwrap_or_default())
        .layer(middleware::from_fn_with_state(Arc::new(guard), guard::check))
        .layer(middleware::from_fn(headers::add))
        .layer(middleware::from_fn(log::one_line))
}

//! What is plain HTTPS on the control API's port: AuthZEN, and the published audit log.

use std::convert::Infallible;

use hpc_rpc::grpc::GrpcServerBuilder;
use http::{Request, Response};
use tonic::body::Body;

use crate::authzen::AuthZen;
use crate::tiles::Tiles;

/// Adds both to a server.
pub(crate) fn serve_on(server: GrpcServerBuilder, authzen: AuthZen, tiles: Tiles) -> GrpcServerBuilder {
    server.with_http_fallback(tower::service_fn(move |request: Request<Body>| {
        let (authzen, tiles) = (authzen.clone(), tiles.clone());
        async move {
            let response = if Tiles::owns(request.uri().path()) {
                tiles.serve(request).await
            } else {
                authzen.serve(request).await
            };
            Ok::<Response<Body>, Infallible>(response)
        }
    }))
}

/// Serves the published audit log alone.
pub(crate) fn serve_tiles_on(server: GrpcServerBuilder, tiles: Tiles) -> GrpcServerBuilder {
    server.with_http_fallback(tower::service_fn(move |request: Request<Body>| {
        let tiles = tiles.clone();
        async move { Ok::<Response<Body>, Infallible>(tiles.serve(request).await) }
    }))
}

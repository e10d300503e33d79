//! The published audit log over HTTP: its checkpoint and its C2SP tiles, to fetch, to keep and to check.
//!
//! A path is either `checkpoint` or what [`Tile`] reads; nothing of a request reaches the file system. Members of the
//! trust domain must be allowed `audit.read` on `audit`, as for a search; on the public listener nobody is asked.
//! Source: c2sp.org/tlog-tiles.

pub mod limits;

mod reply;

use std::sync::Arc;

use hpc_audit::{AuditError, Tile, TileKind, TileSource};
use hpc_identity::PeerIdentity;
use hpc_policy::Resource;
use http::{HeaderMap, Method, Request, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::body::Body;

use self::limits::{BUNDLE_WAIT_MAX, BUNDLES_MAX, CHECKPOINT_AGE_MAX_S, TILE_AGE_MAX_S};
use self::reply::{Content, Problem, packed, reply, wants_gzip};
use crate::cosigning::Cosigning;
use crate::people;
use crate::world::World;

/// Where the log begins in a path.
pub const PREFIX: &str = "/audit/";

/// The published log for one kind of readers.
#[derive(Clone)]
pub(crate) struct Tiles {
    source: Arc<dyn TileSource>,
    /// Who has the newest cosigned checkpoint, if witnesses are asked.
    cosigning: Option<Arc<Cosigning>>,
    /// Whose policies say who may read; `None` where anybody may.
    world: Option<Arc<World>>,
    /// Bundles of entries in memory at once. Each kind of readers has its own: strangers keep no member waiting.
    bundles: Arc<Semaphore>,
}

impl Tiles {
    /// For members of the trust domain, who are asked for their permission.
    pub(crate) fn for_members(world: Arc<World>, cosigning: Option<Arc<Cosigning>>) -> Self {
        let source = Arc::clone(&world.audit) as Arc<dyn TileSource>;
        Self { source, cosigning, world: Some(world), bundles: Arc::new(Semaphore::new(BUNDLES_MAX)) }
    }

    /// For anybody.
    pub(crate) fn for_anybody(source: Arc<dyn TileSource>, cosigning: Option<Arc<Cosigning>>) -> Self {
        Self { source, cosigning, world: None, bundles: Arc::new(Semaphore::new(BUNDLES_MAX)) }
    }

    /// Whether a path is below the prefix.
    pub(crate) fn owns(path: &str) -> bool {
        path.starts_with(PREFIX)
    }

    pub(crate) async fn serve(&self, request: Request<Body>) -> Response<Body> {
        let (head, _) = request.into_parts();
        let name = head.uri.path().strip_prefix(PREFIX).unwrap_or_default();
        let found = self.find(&head.method, name, head.extensions.get(), &head.headers).await;
        reply(found, head.method == Method::HEAD, &head.headers)
    }

    async fn find(
        &self,
        method: &Method,
        name: &str,
        peer: Option<&PeerIdentity>,
        headers: &HeaderMap,
    ) -> Result<Content, Problem> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Err(Problem::method());
        }
        self.admit(peer)?;
        let whose = if self.world.is_some() { "private" } else { "public" };
        if name == "checkpoint" {
            return Ok(Content {
                bytes: self.checkpoint().into_bytes().into(),
                kind: "text/plain; charset=utf-8",
                cache: format!("{whose}, max-age={CHECKPOINT_AGE_MAX_S}"),
                gzip: None,
            });
        }
        let tile: Tile = name.parse().map_err(|_| Problem::not_found())?;
        let cache = format!("{whose}, immutable, max-age={TILE_AGE_MAX_S}");
        let kind = "application/octet-stream";
        match tile.kind() {
            TileKind::Hashes(_) => {
                let bytes = self.tile(tile).await?.into();
                Ok(Content { bytes, kind, cache, gzip: None })
            }
            TileKind::Entries => {
                let permit = self.permit().await?;
                let bundle = self.tile(tile).await?;
                let gzip = wants_gzip(headers);
                let bytes = if gzip { packed(bundle).await? } else { bundle };
                Ok(Content { bytes: reply::held(bytes, permit), kind, cache, gzip: Some(gzip) })
            }
        }
    }

    /// Lets in who may read.
    fn admit(&self, peer: Option<&PeerIdentity>) -> Result<(), Problem> {
        let Some(world) = &self.world else { return Ok(()) };
        let peer = peer.ok_or_else(Problem::no_certificate)?;
        let caller = people::caller(peer.id()).map_err(|error| Problem::refused(&error))?;
        let (policies, resource) = (world.broker.policies(), Resource::new("audit", "audit"));
        hpc_broker::check(&policies, &caller, resource, "audit.read", world.now())
            .map_err(|error| Problem::refused(&error))
    }

    /// The newest checkpoint with its quorum; without witnesses, or before the first quorum, the newest that is published.
    fn checkpoint(&self) -> String {
        let cosigned = self.cosigning.as_ref().and_then(|cosigning| cosigning.state().note);
        cosigned.unwrap_or_else(|| self.source.published().to_string())
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let permit = Arc::clone(&self.bundles).acquire_owned();
        match tokio::time::timeout(BUNDLE_WAIT_MAX, permit).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Problem::busy()),
        }
    }

    async fn tile(&self, tile: Tile) -> Result<Vec<u8>, Problem> {
        match self.source.tile(tile).await {
            Ok(bytes) => bytes.ok_or_else(Problem::not_found),
            Err(error) => {
                match &error {
                    AuditError::Damaged { .. } => tracing::error!(%tile, %error, "the audit log is damaged"),
                    _ => tracing::warn!(%tile, %error, "a tile of the audit log cannot be read"),
                }
                Err(Problem::unreadable())
            }
        }
    }
}

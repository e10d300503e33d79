//! What a tool does to the world, said to clients.

/// Hints about a tool's effects; a client may show them to a person before a call.
///
/// They inform and protect nothing: what a caller may do is decided by [`Tool::requires`](crate::Tool::requires).
/// A tool without annotations sends none, and clients then assume the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Annotations {
    pub(crate) read_only: bool,
    pub(crate) destructive: bool,
    pub(crate) idempotent: bool,
    pub(crate) open_world: bool,
}

impl Annotations {
    /// Changes nothing.
    #[must_use]
    pub const fn read_only() -> Self {
        Self { read_only: true, destructive: false, idempotent: true, open_world: true }
    }

    /// Adds something, and removes or overwrites nothing.
    #[must_use]
    pub const fn additive() -> Self {
        Self { read_only: false, destructive: false, idempotent: false, open_world: true }
    }

    /// Removes, overwrites or spends; such a tool must also require a capability.
    #[must_use]
    pub const fn destructive() -> Self {
        Self { read_only: false, destructive: true, idempotent: false, open_world: true }
    }

    /// The same call twice has the effect of one.
    #[must_use]
    pub const fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// Touches only what this server itself keeps.
    #[must_use]
    pub const fn closed_world(mut self) -> Self {
        self.open_world = false;
        self
    }
}

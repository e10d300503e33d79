use std::fmt;

use crate::control::v1::{JoinRequest, JoinTokenResponse};

/// Leaves the one-time token out.
impl fmt::Debug for JoinRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinRequest")
            .field("node_name", &self.node_name)
            .field("csr_der_bytes", &self.csr_der.len())
            .finish_non_exhaustive()
    }
}

/// Leaves the one-time token out.
impl fmt::Debug for JoinTokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinTokenResponse").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

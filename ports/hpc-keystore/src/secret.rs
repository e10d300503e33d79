//! Bytes that must not be seen.

use zeroize::Zeroizing;

/// Longest secret, in bytes: 1 MiB.
pub const SECRET_BYTES_MAX: usize = 1024 * 1024;

/// A secret in the clear. Wiped on drop; has no `Debug`, no `Display`, no `Clone` and no comparison.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes over bytes that wipe themselves.
    #[must_use]
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// The bytes. Copy them only into memory that is wiped.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Gives up the bytes, which still wipe themselves.
    #[must_use]
    pub fn into_inner(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

impl AsRef<[u8]> for Secret {
    fn as_ref(&self) -> &[u8] {
        self.expose()
    }
}

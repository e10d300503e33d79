//! The contexts a development daemon writes for `hpc`: one for each person.

use std::path::{Path, PathBuf};

use hpc::context::{self, Context};
use hpc_error::HpcError;

use crate::clock::wall_now;
use crate::daemon::Daemon;
use crate::people::PEOPLE;

/// Contexts that are removed when the daemon ends.
pub struct Contexts {
    home: PathBuf,
    written: Vec<Context>,
}

impl Contexts {
    /// Writes a context for each person; the first becomes the current one.
    ///
    /// # Errors
    /// What [`hpc::context::write`] says.
    pub fn write(daemon: &Daemon, home: &Path) -> Result<Self, HpcError> {
        let identity = &daemon.world.identity;
        let now = wall_now();
        let mut written = Vec::new();
        for person in PEOPLE {
            let svid = identity.issue(&person.spiffe_id(identity.trust_domain())?, now)?;
            let context = Context {
                name: person.context.to_owned(),
                endpoint: daemon.endpoint(),
                server_id: identity.server_id().clone(),
                dev: true,
                written_at: now,
                data: (!daemon.world.data.is_temporary()).then(|| daemon.world.data.path().to_owned()),
                audit_key: Some(daemon.world.info("").audit_key),
            };
            context::write(home, &context, &svid, &identity.bundle(), written.is_empty())?;
            written.push(context);
        }
        Ok(Self { home: home.to_owned(), written })
    }

    /// Where they are.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }
}

impl Drop for Contexts {
    fn drop(&mut self) {
        for context in &self.written {
            // A context that another daemon has written since is that daemon's.
            drop(context::remove_if_same(&self.home, context));
        }
    }
}

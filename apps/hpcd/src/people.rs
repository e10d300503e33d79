//! Who is who: the identity in a certificate becomes the principal that policies see.

use hpc_broker::{Caller, Callers};
use hpc_error::{HpcError, codes};
use hpc_identity::{SpiffeId, TrustDomain};
use hpc_policy::{Principal, PrincipalKind};
use hpc_resources::TeamId;

/// A person of the development world.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    /// The last segment of the identity, and the name of the context written for `hpc`.
    pub name: &'static str,
    /// The context's name.
    pub context: &'static str,
    /// The team that pays.
    pub team: &'static str,
    /// The roles.
    pub roles: &'static [&'static str],
}

/// The people of a development daemon: one who asks, and one who may approve.
pub const PEOPLE: [Person; 2] = [
    Person { name: "you", context: "dev", team: "ml", roles: &["gpu-user", "operator"] },
    Person {
        name: "lead",
        context: "dev-lead",
        team: "ml",
        roles: &["gpu-user", "gpu-approver", "policy-admin", "budget-admin"],
    },
];

impl Person {
    /// The identity in this person's certificate: `spiffe://<domain>/user/<name>`.
    ///
    /// # Errors
    /// `HPC-INT-0001`, if the built-in table were wrong.
    pub fn spiffe_id(&self, domain: &TrustDomain) -> Result<SpiffeId, HpcError> {
        SpiffeId::new(domain, ["user", self.name])
            .map_err(|error| HpcError::coded(&codes::INT_BUG, error.to_string()))
    }
}

/// The caller behind an authenticated identity.
///
/// # Errors
/// `HPC-AUT-0005` for an identity that this daemon gives no rights to.
pub fn caller(id: &SpiffeId) -> Result<Caller, HpcError> {
    let unknown = || {
        let message = format!("`{id}` is authenticated, but nobody here knows it");
        HpcError::coded(&codes::AUT_NOT_ALLOWED, message).with("identity", id)
    };
    let segments: Vec<&str> = id.segments().collect();
    match segments.as_slice() {
        ["user", name] => {
            let person = PEOPLE.iter().find(|person| person.name == *name).ok_or_else(unknown)?;
            let mut principal =
                Principal::user(person.name).with_team(person.team).with_spiffe_id(id.as_str());
            for role in person.roles {
                principal = principal.with_role(*role);
            }
            let team = TeamId::parse(person.team)
                .map_err(|error| HpcError::coded(&codes::INT_BUG, error.to_string()))?;
            Ok(Caller { name: id.to_string(), principal, team })
        }
        ["node", name] => {
            let principal = Principal::service(format!("node/{name}")).with_spiffe_id(id.as_str());
            let team = TeamId::parse("nodes")
                .map_err(|error| HpcError::coded(&codes::INT_BUG, error.to_string()))?;
            Ok(Caller { name: id.to_string(), principal, team })
        }
        _ => Err(unknown()),
    }
}

/// The people of a trust domain, for what is done for somebody who is not there to ask.
#[derive(Debug)]
pub struct Directory(pub TrustDomain);

impl Callers for Directory {
    fn caller(&self, name: &str) -> Option<Caller> {
        let id = SpiffeId::parse(name).ok()?;
        if *id.trust_domain() != self.0 {
            return None;
        }
        caller(&id).ok().filter(|caller| !is_node(caller))
    }
}

/// Whether the caller is a node: a machine that has joined, not somebody who asks for capacity.
#[must_use]
pub fn is_node(caller: &Caller) -> bool {
    caller.principal.kind() == PrincipalKind::Service && caller.principal.id().starts_with("node/")
}

//! Many policy documents as one: all or nothing, indexed, shared.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::condition::Truth;
use crate::context::EvaluationContext;
use crate::decision::{Decision, Verdict};
use crate::digest;
use crate::document::Document;
use crate::entities::{Entities, EntitiesDocument, Gathered};
use crate::error::PolicyError;
use crate::explain;
use crate::groups::Groups;
use crate::index::Index;
use crate::limits::{DOCUMENTS_MAX, RULES_MAX, SCHEMA_MISTAKES_MAX};
use crate::narrow::Narrow;
use crate::obligation;
use crate::parallel;
use crate::policy::{Policy, RuleSummary};
use crate::rule::{Effect, Rule};
use crate::schema::Schema;
use crate::schema_read::Declared;
use crate::schema_scope::Scopes;
use crate::yaml::Pos;

/// Documents that are parsed side by side.
const DOCUMENTS_AT_ONCE: usize = 64;

/// An immutable set of policies, compiled for fast decisions.
///
/// A clone shares the same rules, so passing one to a thread or swapping an `Arc` of one costs nothing.
///
/// ```
/// use hpc_policy::{EvaluationContext, PolicySet, Principal, Resource};
///
/// let set = PolicySet::parse_documents([("read.yaml", "
/// apiVersion: policy.horizon.dev/v1
/// kind: Policy
/// metadata: {name: read}
/// spec:
///   principals: [{type: role, value: viewer}]
///   resources: [{type: lease, pattern: '**'}]
///   actions: [lease.read]
///   effect: allow
/// ")]).map_err(|errors| errors[0].clone())?;
/// let viewer = Principal::user("alice").with_role("viewer");
/// let decision = set.evaluate(&EvaluationContext::new(viewer, Resource::new("lease", "leases/l-1"), "lease.read"));
/// assert!(decision.is_allowed());
/// # Ok::<(), hpc_policy::PolicyError>(())
/// ```
#[derive(Clone)]
pub struct PolicySet {
    inner: Arc<Inner>,
}

struct Inner {
    policies: Vec<Policy>,
    /// Where each rule is: policy and position in it. The index's numbers are positions in this list.
    places: Vec<(u32, u32)>,
    /// Which rules are about a request: what an explanation shows.
    index: Index,
    /// Which rules can decide one.
    denies: Narrow,
    allows: Narrow,
    entities: Entities,
    schema: Schema,
    digest: Arc<str>,
}

impl Inner {
    fn rule(&self, position: u32) -> Option<&Rule> {
        let (policy, rule) = self.places.get(position as usize)?;
        self.policies.get(*policy as usize)?.compiled().get(*rule as usize)
    }
}

impl PolicySet {
    /// Parses named documents, policies, groups, schemas and lists of entities, into one set. If any is wrong there is no set.
    ///
    /// The order of the documents makes no difference, neither to decisions nor to the digest.
    ///
    /// # Errors
    /// The first error of every wrong document, each naming its document; or one of
    /// [`PolicyError::NoDocuments`], [`PolicyError::Limit`], [`PolicyError::DuplicateName`],
    /// [`PolicyError::ObligationConflict`], [`PolicyError::Undeclared`], [`PolicyError::Impossible`] about the set as a whole.
    pub fn parse_documents<N, T>(
        documents: impl IntoIterator<Item = (N, T)>,
    ) -> Result<Self, Vec<PolicyError>>
    where
        N: AsRef<str>,
        T: AsRef<str>,
    {
        let mut errors = Vec::new();
        let mut texts: BTreeMap<Arc<str>, T> = BTreeMap::new();
        for (name, text) in documents {
            let name: Arc<str> = name.as_ref().into();
            if texts.len() == DOCUMENTS_MAX {
                let at = Pos::START.at();
                let limit = PolicyError::Limit { at, what: "the number of documents", max: DOCUMENTS_MAX };
                return Err(vec![limit.in_document(&name)]);
            }
            if texts.insert(Arc::clone(&name), text).is_some() {
                let at = Pos::START.at();
                let error = PolicyError::DuplicateName { at, what: "document", name: name.to_string() };
                errors.push(error.in_document(&name));
            }
        }
        if texts.is_empty() {
            return Err(vec![PolicyError::NoDocuments]);
        }

        let mut policies: Vec<Policy> = Vec::with_capacity(texts.len());
        let mut names = BTreeMap::new();
        let mut obligations = BTreeMap::new();
        let mut rules = 0_usize;
        let mut entities = Gathered::default();
        let mut lists = Vec::new();
        let mut groups = Groups::default();
        let mut declared = Declared::default();
        // Of half a schema nothing is expected: every name of the other half would be a mistake.
        let mut is_schema_whole = true;
        let mut documents: Vec<&Arc<str>> = Vec::new();
        let named: Vec<(&Arc<str>, &str)> = texts.iter().map(|(name, text)| (name, text.as_ref())).collect();
        // A few at a time, so that too many rules are noticed before all of them are in memory.
        let parsed =
            named.chunks(DOCUMENTS_AT_ONCE).flat_map(|some| some.iter().zip(parallel::parse_all(some)));
        for (&(document, text), parsed) in parsed {
            let policy = match parsed {
                Ok(Document::Policy(policy)) => policy,
                Ok(Document::Entities(listed)) => {
                    lists.push((document, listed));
                    continue;
                }
                Ok(Document::Schema(read)) => {
                    if let Err(error) = declared.add(document, read) {
                        is_schema_whole = false;
                        errors.push(error.in_document(document));
                    }
                    continue;
                }
                Ok(Document::Groups(listed)) => {
                    if let Err(error) = groups.add(document, listed) {
                        errors.push(error.in_document(document));
                    }
                    continue;
                }
                Err(error) => {
                    is_schema_whole &= !text.contains("PolicySchema");
                    errors.push(error.in_document(document));
                    continue;
                }
            };
            if names.insert(policy.name().to_owned(), ()).is_some() {
                let at = policy.name_at().at();
                let name = policy.name().to_owned();
                errors.push(PolicyError::DuplicateName { at, what: "policy", name }.in_document(document));
            }
            if let Err(error) = obligation::check_types(&mut obligations, policy.compiled()) {
                errors.push(error.in_document(document));
            }
            rules += policy.compiled().len();
            if rules > RULES_MAX {
                let limit =
                    PolicyError::Limit { at: Pos::START.at(), what: "the number of rules", max: RULES_MAX };
                return Err(vec![limit.in_document(document)]);
            }
            policies.push(policy);
            documents.push(document);
        }
        let schema = declared.into_schema().unwrap_or_else(|error| {
            errors.push(error);
            Schema::default()
        });
        if is_schema_whole {
            errors.extend(mistakes(&schema, &policies, &documents, &lists));
        }
        for (document, listed) in lists {
            if let Err(error) = entities.add(listed) {
                errors.push(error.in_document(document));
            }
        }
        match groups.close() {
            Ok(mut closed) => {
                for (policy, document) in policies.iter_mut().zip(documents) {
                    if let Err(error) = policy.resolve(document, &mut closed) {
                        errors.push(error.in_document(document));
                    }
                }
            }
            Err(error) => errors.push(error),
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        if policies.is_empty() {
            // Entities and groups alone decide nothing.
            return Err(vec![PolicyError::NoDocuments]);
        }
        let digest = digest::of_set(texts.iter().map(|(name, text)| (&**name, text.as_ref())));
        Ok(Self::new(policies, entities.into_entities(), schema, digest))
    }

    /// The set that refuses everything, for a start without policies. Never the result of a failed load.
    #[must_use]
    pub fn deny_all() -> Self {
        Self::new(Vec::new(), Entities::default(), Schema::default(), digest::of_set(std::iter::empty()))
    }

    fn new(policies: Vec<Policy>, entities: Entities, schema: Schema, digest: Arc<str>) -> Self {
        let mut places = Vec::new();
        let mut rules: Vec<&Rule> = Vec::new();
        for (policy_number, policy) in (0_u32..).zip(&policies) {
            for (rule_number, rule) in (0_u32..).zip(policy.compiled().iter()) {
                places.push((policy_number, rule_number));
                rules.push(rule);
            }
        }
        let index = Index::build(&rules);
        let of = |effect| (0_u32..).zip(rules.iter().copied()).filter(move |(_, rule)| rule.effect == effect);
        let [denies, allows] = [Effect::Deny, Effect::Allow].map(|effect| Narrow::build(effect, of(effect)));
        Self { inner: Arc::new(Inner { policies, places, index, denies, allows, entities, schema, digest }) }
    }

    /// Decides and explains. Never fails: what cannot be judged is denied, with the reason in the decision.
    #[must_use]
    pub fn evaluate(&self, context: &EvaluationContext) -> Decision {
        if let Err(error) = context.check() {
            return explain::refuse(&error, context, &self.inner.digest);
        }
        let rules: Vec<&Rule> = self.candidates(context).collect();
        explain::explain(&rules, context, &self.inner.digest)
    }

    /// The verdict of [`evaluate`](Self::evaluate) without its reasons; allocates nothing unless the request
    /// is malformed.
    #[must_use]
    pub fn decide(&self, context: &EvaluationContext) -> Verdict {
        if context.check().is_err() {
            return Verdict::Deny;
        }
        let inner = &*self.inner;
        let denied = inner.denies.visit(context, &mut |position| match inner.rule(position) {
            Some(rule) if rule.is_in_scope(context) && rule.truth(context) != Truth::False => {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        });
        if denied.is_break() {
            return Verdict::Deny;
        }
        let allowed = inner.allows.visit(context, &mut |position| match inner.rule(position) {
            Some(rule) if rule.is_in_scope(context) && rule.truth(context) == Truth::True => {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        });
        if allowed.is_break() { Verdict::Allow } else { Verdict::Deny }
    }

    fn candidates<'a>(&'a self, context: &EvaluationContext) -> impl Iterator<Item = &'a Rule> {
        let inner = &*self.inner;
        let about = inner.index.candidates(context.resource().resource_type(), context.action());
        about.filter_map(|position| inner.rule(position))
    }

    /// Positions of the rules whose action, resource and principal match, ascending.
    pub(crate) fn in_scope(&self, context: &EvaluationContext) -> Vec<u32> {
        let mut found = Vec::new();
        for rules in [&self.inner.denies, &self.inner.allows] {
            let _ = rules.visit_scope(context, &mut |position| {
                if self.inner.rule(position).is_some_and(|rule| rule.is_in_scope(context)) {
                    found.push(position);
                }
                ControlFlow::Continue(())
            });
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The rules at these positions.
    pub(crate) fn rules_in_scope(&self, context: &EvaluationContext) -> Vec<&Rule> {
        self.in_scope(context).into_iter().filter_map(|position| self.inner.rule(position)).collect()
    }

    /// The rule at a position.
    pub(crate) fn rule(&self, position: u32) -> Option<&Rule> {
        self.inner.rule(position)
    }

    /// The rules with their positions.
    pub(crate) fn compiled(&self) -> impl DoubleEndedIterator<Item = (u32, &Rule)> {
        let inner = &*self.inner;
        let positions = 0..u32::try_from(inner.places.len()).unwrap_or(u32::MAX);
        positions.filter_map(|position| Some((position, inner.rule(position)?)))
    }

    /// Calls `visit` with rules of one effect until it breaks; every one that applies to `context` is among them.
    pub(crate) fn visit<'a>(
        &'a self,
        effect: Effect,
        context: &EvaluationContext,
        visit: &mut impl FnMut(u32, &'a Rule) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let inner = &*self.inner;
        let narrow = if effect == Effect::Deny { &inner.denies } else { &inner.allows };
        narrow.visit(context, &mut |position| match inner.rule(position) {
            Some(rule) => visit(position, rule),
            None => ControlFlow::Continue(()),
        })
    }

    /// Content digest of all documents and their names, 64 hexadecimal digits. Every decision carries it.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.inner.digest
    }

    /// The policies, ordered by the names of their documents.
    #[must_use]
    pub fn policies(&self) -> &[Policy] {
        &self.inner.policies
    }

    /// The subjects, resources and actions that the set's documents list. They grant nothing.
    #[must_use]
    pub fn entities(&self) -> &Entities {
        &self.inner.entities
    }

    /// What the set's documents declare that requests can hold. Policies keep to it; requests are not checked against it.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.inner.schema
    }

    /// All rules, in the order of [`policies`](Self::policies).
    pub fn rules(&self) -> impl Iterator<Item = RuleSummary<'_>> {
        self.inner.policies.iter().flat_map(Policy::rules)
    }

    /// Number of rules.
    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.inner.places.len()
    }
}

/// Where the set does not keep to its schema.
fn mistakes(
    schema: &Schema,
    policies: &[Policy],
    documents: &[&Arc<str>],
    lists: &[(&Arc<str>, EntitiesDocument)],
) -> Vec<PolicyError> {
    if schema.is_empty() {
        return Vec::new();
    }
    let mut mistakes = Vec::new();
    let mut found = Vec::new();
    let mut note = |document: &Arc<str>, found: &mut Vec<PolicyError>| {
        mistakes.extend(found.drain(..).map(|error| error.in_document(document)));
        mistakes.len() < SCHEMA_MISTAKES_MAX
    };
    let mut scopes = Scopes::of(schema);
    let rules = policies
        .iter()
        .zip(documents)
        .flat_map(|(policy, document)| policy.compiled().iter().map(move |rule| (document, rule)));
    // Each mistake is looked up among all that is declared, so this ends as soon as there are enough.
    let mut room = true;
    for (document, rule) in rules {
        schema.check_rule(&mut scopes, rule, &mut found);
        room = note(document, &mut found);
        if !room {
            break;
        }
    }
    for (document, listed) in lists.iter().filter(|_| room) {
        listed.check(schema, &mut found);
        if !note(document, &mut found) {
            break;
        }
    }
    mistakes.truncate(SCHEMA_MISTAKES_MAX);
    mistakes
}

impl fmt::Debug for PolicySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicySet")
            .field("policies", &self.inner.policies.len())
            .field("rules", &self.inner.places.len())
            .field("digest", &self.inner.digest)
            .finish()
    }
}

//! Who can do one thing.

use crate::analysis::against::{Against, Cover, against};
use crate::analysis::cover::{covers, excludes};
use crate::analysis::known::Known;
use crate::analysis::report::RulePlace;
use crate::analysis::residual::{Facts, Truths, residual};
use crate::analysis::ways::{SubjectAnswer, WayIn, WhoCan};
use crate::context::{EvaluationContext, Principal, PrincipalKind, Resource};
use crate::error::PolicyError;
use crate::limits::{EXACT_MAX, SEEN_ITEMS_MAX, WAYS_MAX};
use crate::path::{AttributePath, Source};
use crate::rule::{Effect, PrincipalMatch, Rule, Text};
use crate::set::PolicySet;

/// Stands for a principal of whom nothing is known.
const SOMEBODY: &str = "somebody";

/// Every way in which somebody may do `action` to `resource`: whom the rules mean, under which conditions that `known`
/// and the resource's own attributes leave open, and which deny rules can stand in the way.
///
/// No way is left out. A way that [is unconditional](WayIn::is_unconditional) holds for every request that it means; one
/// that is not may still turn out to be impossible, because its conditions are not compared with each other.
/// Principals that the set's [entities](PolicySet::entities) list are asked about one by one, with what is known and
/// everything else missing; of a resource that they list they know its attributes.
///
/// # Errors
/// Only [`PolicyError::InvalidRequest`]: no request can ask about this action or resource.
///
/// ```
/// use hpc_policy::{Known, PolicySet, Resource, who_can};
///
/// let set = PolicySet::parse_documents([("p.yaml", "
/// apiVersion: policy.horizon.dev/v1
/// kind: Policy
/// metadata: {name: p}
/// spec:
///   rules:
///     - name: short
///       effect: allow
///       principals: [{type: role, value: gpu-user}]
///       resources: [{type: gpu, pattern: 'gpu/*'}]
///       actions: [capacity.request]
///       conditions: [{attribute: context.hours, op: lte, value: 8}]
///     - name: suspended
///       effect: deny
///       principals: [{type: role, value: suspended}]
///       resources: [{type: '*', pattern: '**'}]
///       actions: ['**']
/// ")]).unwrap();
/// let answer = who_can(&set, "capacity.request", &Resource::new("gpu", "gpu/h100"), &Known::new())?;
/// assert_eq!(answer.ways[0].who, "role `gpu-user`");
/// assert_eq!(answer.ways[0].conditions, ["context.hours <= 8"]);
/// assert_eq!(answer.ways[0].unless[0].over, ["role `suspended`"]);
/// let short = Known::new().with("context.hours", 4)?;
/// let answer = who_can(&set, "capacity.request", &Resource::new("gpu", "gpu/h100"), &short)?;
/// assert!(answer.ways[0].conditions.is_empty() && !answer.ways[0].is_unconditional());
/// # Ok::<(), hpc_policy::PolicyError>(())
/// ```
pub fn who_can(
    set: &PolicySet,
    action: &str,
    resource: &Resource,
    known: &Known,
) -> Result<WhoCan, PolicyError> {
    let mut context = EvaluationContext::new(Principal::user(SOMEBODY), resource.clone(), action);
    known.apply(&mut context);
    context.check()?;
    let about = |rule: &&Rule| rule.is_about(&context) && rule.covers_resource(&context);
    let (allows, denies): (Vec<&Rule>, Vec<&Rule>) =
        set.compiled().map(|(_, rule)| rule).filter(about).partition(|rule| rule.effect == Effect::Allow);
    let mut answer = WhoCan {
        digest: set.digest().into(),
        action: action.to_owned(),
        resource_type: resource.resource_type().to_owned(),
        resource_id: resource.id().to_owned(),
        ways: Vec::new(),
        ways_omitted: 0,
        closed: Vec::new(),
        closed_omitted: 0,
        subjects: Vec::new(),
        subjects_omitted: 0,
    };
    for rule in allows {
        for who in &rule.principals {
            way(rule, who, &denies, &context, known, &mut answer);
        }
    }
    ask_subjects(set, &context, resource, known, &mut answer);
    Ok(answer)
}

/// Adds the way in that `rule` opens for `who`, if it opens one.
fn way(
    rule: &Rule,
    who: &PrincipalMatch,
    denies: &[&Rule],
    context: &EvaluationContext,
    known: &Known,
    answer: &mut WhoCan,
) {
    let context = context.clone().asked_by(principal_of(who, context.principal()));
    let of_resource = context.clone();
    let is_open = |path: &AttributePath| is_open(path, who, known, &of_resource);
    let facts = Facts { context: &context, open: &is_open };
    let conditions = residual(&rule.conditions, &facts);
    if !conditions.possible().any_of(Truths::TRUE) {
        return;
    }
    let Against { unless, omitted: unless_omitted, closed } = against(denies, &facts, |deny| {
        let mut entries = deny.principals.iter().filter(|entry| !excludes(entry, who)).peekable();
        entries.peek()?;
        let all = deny.principals.iter().any(|entry| covers(entry, who));
        Some(if all { Cover::All } else { Cover::Part(entries.map(ToString::to_string).collect()) })
    });
    let (list, omitted) = match closed {
        true => (&mut answer.closed, &mut answer.closed_omitted),
        false => (&mut answer.ways, &mut answer.ways_omitted),
    };
    if list.len() >= WAYS_MAX {
        *omitted += 1;
        return;
    }
    list.push(WayIn {
        who: who.to_string(),
        included: match who {
            PrincipalMatch::Role(_, Some(holders)) => {
                holders.iter().take(SEEN_ITEMS_MAX).map(ToString::to_string).collect()
            }
            _ => Vec::new(),
        },
        rule: RulePlace::of(rule),
        conditions: conditions.words(&facts),
        unless,
        unless_omitted,
    });
}

/// A principal with what an entry says of it, and the known attributes of `somebody`.
fn principal_of(who: &PrincipalMatch, somebody: &Principal) -> Principal {
    match who {
        PrincipalMatch::Id(kind, Text::Exact(id)) => somebody.clone().renamed(*kind, id),
        PrincipalMatch::Id(kind, Text::Glob(_)) => somebody.clone().renamed(*kind, SOMEBODY),
        PrincipalMatch::Spiffe(Text::Exact(id)) => somebody.clone().with_spiffe_id(&**id),
        _ => somebody.clone(),
    }
}

/// Whether nothing is known of the attribute of a request by somebody whom `who` means.
fn is_open(path: &AttributePath, who: &PrincipalMatch, known: &Known, context: &EvaluationContext) -> bool {
    match path.source() {
        Source::PrincipalId => !matches!(who, PrincipalMatch::Id(_, Text::Exact(_))),
        Source::PrincipalType => !matches!(who, PrincipalMatch::Id(..)),
        Source::PrincipalSpiffeId => !matches!(who, PrincipalMatch::Spiffe(Text::Exact(_))),
        Source::PrincipalRoles | Source::PrincipalTeams => true,
        Source::ResourceId | Source::ResourceType | Source::Action => false,
        // An attribute that the caller gave with the resource is known, as those in `known` are.
        Source::Resource(_) => !known.has(path) && context.lookup(path).is_none(),
        _ => !known.has(path),
    }
}

fn ask_subjects(
    set: &PolicySet,
    context: &EvaluationContext,
    resource: &Resource,
    known: &Known,
    answer: &mut WhoCan,
) {
    let entities = set.entities();
    let mut question = context.clone();
    if let Some(listed) = entities.resource(resource.resource_type(), resource.id()) {
        question = EvaluationContext::new(
            context.principal().clone(),
            listed.clone().with_attributes_of(resource),
            context.action(),
        );
    }
    for kind in [PrincipalKind::User, PrincipalKind::Service, PrincipalKind::Agent] {
        for subject in entities.subjects_of(kind) {
            if answer.subjects.len() >= EXACT_MAX {
                answer.subjects_omitted += 1;
                continue;
            }
            let mut asked = question.clone().asked_by(subject.clone());
            known.apply(&mut asked);
            answer
                .subjects
                .push(SubjectAnswer { principal: subject.to_string(), verdict: set.decide(&asked) });
        }
    }
}

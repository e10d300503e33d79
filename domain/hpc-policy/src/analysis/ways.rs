//! What `who_can` and `what_can` answer.

use std::sync::Arc;

use crate::analysis::report::RulePlace;
use crate::decision::Verdict;

/// A deny rule that can stand in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Denial {
    /// The rule.
    pub rule: RulePlace,
    /// Whom or what it covers, in words, where that is not all that is meant.
    pub over: Vec<String>,
    /// The conditions under which it denies, in words; it also denies where they cannot be judged. Empty: always.
    pub conditions: Vec<String>,
}

/// One rule that lets somebody do what was asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct WayIn {
    /// Whom, in words: ``role `gpu-user` ``.
    pub who: String,
    /// Roles whose holders count as well, because they include the role.
    pub included: Vec<String>,
    /// The rule that allows it.
    pub rule: RulePlace,
    /// What must hold, in words; all of it. Empty: nothing more.
    pub conditions: Vec<String>,
    /// The deny rules that can stand in the way.
    pub unless: Vec<Denial>,
    /// How many more there are.
    pub unless_omitted: usize,
}

impl WayIn {
    /// Whether it holds whatever else is true of the request.
    #[must_use]
    pub fn is_unconditional(&self) -> bool {
        self.conditions.is_empty() && self.unless.is_empty() && self.unless_omitted == 0
    }
}

/// What a listed principal gets, with the known attributes and no others.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SubjectAnswer {
    /// The principal: `user:alice`.
    pub principal: String,
    /// The verdict.
    pub verdict: Verdict,
}

/// Who can do one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct WhoCan {
    /// The digest of the set.
    pub digest: Arc<str>,
    /// What would be done.
    pub action: String,
    /// The type of the resource.
    pub resource_type: String,
    /// The resource.
    pub resource_id: String,
    /// Every way in, in the order of the rules.
    pub ways: Vec<WayIn>,
    /// How many ways are not in the list.
    pub ways_omitted: usize,
    /// Allow rules that a deny rule, the one in `unless`, undoes for everybody they mean.
    pub closed: Vec<WayIn>,
    /// How many of these are not in the list.
    pub closed_omitted: usize,
    /// What each principal gets that the set's entities list.
    pub subjects: Vec<SubjectAnswer>,
    /// How many of them were not asked about.
    pub subjects_omitted: usize,
}

/// One rule that lets the principal do something.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct WayTo {
    /// The actions, names or patterns.
    pub actions: Vec<String>,
    /// The resources, in words: ``gpu `gpu/*` ``.
    pub resource: String,
    /// The rule that allows it.
    pub rule: RulePlace,
    /// What must hold, in words; all of it. Empty: nothing more.
    pub conditions: Vec<String>,
    /// The deny rules that can stand in the way.
    pub unless: Vec<Denial>,
    /// How many more there are.
    pub unless_omitted: usize,
}

impl WayTo {
    /// Whether it holds whatever else is true of the request.
    #[must_use]
    pub fn is_unconditional(&self) -> bool {
        self.conditions.is_empty() && self.unless.is_empty() && self.unless_omitted == 0
    }
}

/// What can be done to a listed resource, with the known attributes and no others.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ResourceAnswer {
    /// The resource: `gpu:gpu/h100`.
    pub resource: String,
    /// The actions that are allowed.
    pub actions: Vec<String>,
}

/// What one principal can do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct WhatCan {
    /// The digest of the set.
    pub digest: Arc<str>,
    /// Who: `user:alice`.
    pub principal: String,
    /// Every way, in the order of the rules.
    pub ways: Vec<WayTo>,
    /// How many ways are not in the list.
    pub ways_omitted: usize,
    /// Allow rules that a deny rule, the one in `unless`, undoes for everything they mean.
    pub closed: Vec<WayTo>,
    /// How many of these are not in the list.
    pub closed_omitted: usize,
    /// The listed resources to which something can be done.
    pub resources: Vec<ResourceAnswer>,
    /// How many pairs of an action and a listed resource were asked about.
    pub asked: usize,
    /// How many were not.
    pub asked_omitted: usize,
}

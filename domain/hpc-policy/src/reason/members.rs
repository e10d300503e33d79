//! What is known of the items of a list.

use std::rc::Rc;

use super::budget::Budget;
use super::pattern::{Form, Found};
use super::words::{Language, Words};
use crate::value::{Value, View};

/// Lists of texts: of each set some item is in it, or no item is.
#[derive(Debug, Clone)]
pub(super) struct TextItems<'a> {
    form: Form,
    some: Vec<Rc<Words<'a>>>,
    none: Vec<Rc<Words<'a>>>,
}

impl<'a> TextItems<'a> {
    pub(super) fn all(form: Form) -> Self {
        Self { form, some: Vec::new(), none: Vec::new() }
    }

    pub(super) fn keep(&mut self, words: &Rc<Words<'a>>, inside: bool) {
        if inside { &mut self.some } else { &mut self.none }.push(Rc::clone(words));
    }

    /// An item for each set that needs one; `None` if one of them cannot have any.
    pub(super) fn sample(&self, budget: &Budget) -> Option<Vec<String>> {
        let mut items = Vec::new();
        for words in &self.some {
            let mut language = Language::all(self.form);
            language.keep(words, true);
            self.none.iter().for_each(|out| language.keep(out, false));
            match language.find(|_| true, budget) {
                Found::Nothing => return None,
                Found::Maybe(item) => items.extend(item),
            }
        }
        Some(items)
    }
}

/// Lists of another type: these are in it, those are not.
#[derive(Debug, Clone, Default)]
pub(super) struct ValueItems<'a> {
    some: Vec<&'a Value>,
    none: Vec<&'a Value>,
}

impl<'a> ValueItems<'a> {
    pub(super) fn keep(&mut self, value: &'a Value, inside: bool) {
        if inside { &mut self.some } else { &mut self.none }.push(value);
    }

    pub(super) fn sample(&self) -> Option<Vec<Value>> {
        let refused = |value: &&Value| self.none.iter().any(|out| same(value, out));
        if self.some.iter().any(refused) {
            return None;
        }
        Some(self.some.iter().map(|value| (*value).clone()).collect())
    }
}

/// Equal as conditions see it.
fn same(left: &Value, right: &Value) -> bool {
    match (left.view(), right.view()) {
        (View::Ip(left), View::Ip(right)) => left == right,
        _ => left == right,
    }
}

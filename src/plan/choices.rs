//! Which of several kernels computes an operator.
//!
//! Where kernels of several families, or tiles of several sizes, can do the same, a rule chooses from shapes and the
//! target, the same everywhere and always. Rules know adapters by their class alone; on a given one something else may be
//! faster. A table of choices, made by `wgrad tune`, takes precedence over the rules for the questions that it answers.

use std::collections::BTreeMap;

/// Answers to questions, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Choices(BTreeMap<String, String>);

/// A choice that came up when a plan was made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// What is asked: the operator with all extents that matter, such as `matmul 64x120x400`.
    pub name: String,
    /// What can be chosen, the rule's own choice first.
    pub candidates: Vec<String>,
    /// Whether it was asked because another one was answered as it was: which tile, once tiles it is.
    pub follows: bool,
}

impl Choices {
    /// The answer to a question.
    pub fn get(&self, question: &str) -> Option<&str> {
        self.0.get(question).map(String::as_str)
    }

    /// Answers a question, in place of an earlier answer.
    pub fn insert(&mut self, question: impl Into<String>, answer: impl Into<String>) {
        self.0.insert(question.into(), answer.into());
    }

    /// All questions with their answers, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(question, answer)| (question.as_str(), answer.as_str()))
    }

    /// How many questions are answered.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether rules decide everything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

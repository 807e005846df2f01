//! Parts of tensors that are written and read where they lie.
//!
//! ```text
//! y1 [N, C1, H, W] --+
//!                    +-- concat -- y [N, C1 + C2, H, W]      sample n of y2: numbers n * stride + first .. of y
//! y2 [N, C2, H, W] --+
//! ```
//!
//! A concatenation of channels copies its operands into their places, and its gradient copies slices out. Neither is needed
//! where the kernel that computes an operand can put samples so far apart, or where all that read a slice can find them
//! there. Kernels are asked ([`kernels::writes_apart`], [`kernels::reads_apart`]); for those that know nothing of this the
//! copy remains.
//!
//! A launch binds all of the tensor in which a view lies, because a view's first number may lie where no binding can
//! begin; its place among the dimensions is [`Lowering::apart`]. So a tensor that no binding covers has no views. Nor has,
//! where samples go through layers block by block, one of more than a block: of that there may be a block at a time.

use super::branches::operands;
use super::{Lowering, Program, Target};
use crate::graph::{Concat, Epilogue, Node, Op, Value};
use crate::kernels;
use std::collections::{HashMap, HashSet};

/// Where a value lies within another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct View {
    /// The tensor of which it is a part.
    pub of: Value,
    /// Numbers of a sample before the view's.
    first: usize,
    /// Numbers between the end of a sample and the beginning of the next.
    gap: usize,
}

/// Where the samples of a tensor lie in what a launch binds for it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Apart {
    /// Numbers before the first sample at hand.
    pub first: usize,
    /// Numbers between the end of a sample and the beginning of the next.
    pub gap: usize,
}

/// The values of `program` that need no place of their own.
pub(super) fn find(program: &Program, target: &Target) -> HashMap<Value, View> {
    let mut views = HashMap::new();
    if !target.views {
        return views;
    }
    let finder = Finder::new(program, target);
    for node in program.graph.nodes() {
        match &node.op {
            Op::Concat(Concat { axis: 1 }) => {
                let whole = node.outputs[0];
                for (start, value) in operands(&program.graph, node, 1) {
                    let producer = finder.producer[value.index()].filter(|producer| producer.outputs[0] == value);
                    if producer.is_some_and(kernels::writes_apart) && finder.fits(value, whole, Some(node)) {
                        views.insert(value, finder.view(value, whole, start));
                    }
                }
            }
            Op::Slice(slice) if slice.axis == 1 && node.epilogue == Epilogue::default() => {
                let (value, whole) = (node.outputs[0], node.inputs[0]);
                if finder.fits(value, whole, None) {
                    views.insert(value, finder.view(value, whole, slice.start));
                }
            }
            _ => {}
        }
    }
    views
}

/// For each value the one in whose memory it lies, views included.
pub(super) fn roots(program: &Program, views: &HashMap<Value, View>) -> Vec<Value> {
    let mut roots = program.roots();
    for (value, view) in views {
        roots[value.index()] = roots[view.of.index()];
    }
    roots
}

struct Finder<'a> {
    program: &'a Program,
    /// The bytes of the largest tensor that may have views.
    most: u64,
    producer: Vec<Option<&'a Node>>,
    readers: Vec<Vec<&'a Node>>,
    /// For each value the one in whose memory it lies without views.
    roots: Vec<Value>,
    /// What lies elsewhere than among activations.
    elsewhere: HashSet<Value>,
    /// What is read from outside.
    outside: HashSet<Value>,
}

impl<'a> Finder<'a> {
    fn new(program: &'a Program, target: &Target) -> Self {
        let graph = &program.graph;
        let mut producer = vec![None; graph.len()];
        let mut readers = vec![vec![]; graph.len()];
        let roots = program.roots();
        let recorded = program.record.values().into_iter().flat_map(|(loss, hits)| [loss, hits]);
        let outside = program.outputs.iter().copied().chain(recorded).collect();
        let mut elsewhere: HashSet<Value> = program.gradients.iter().map(|(_, grad)| roots[grad.index()]).collect();
        for node in graph.nodes() {
            node.outputs.iter().for_each(|output| producer[output.index()] = Some(node));
            node.inputs
                .iter()
                .copied()
                .chain(node.epilogue.reads())
                .for_each(|value| readers[value.index()].push(node));
            if super::blocks::is_leaf(&node.op) {
                elsewhere.extend(&node.outputs);
            }
        }
        let binding = target.max_binding.min(target.max_buffer);
        let most = if program.recompute { target.block().min(binding) } else { binding };
        Self { program, most, producer, readers, roots, elsewhere, outside }
    }

    /// Whether `value` can lie in `whole`: all its readers but `concat` look for it there.
    fn fits(&self, value: Value, whole: Value, concat: Option<&Node>) -> bool {
        let is_concat = |node: &Node| concat.is_some_and(|concat| std::ptr::eq(concat, node));
        let readers = &self.readers[value.index()];
        // Once only: a tensor that is put together with itself lies in two places.
        let taken = readers.iter().filter(|node| is_concat(node)).count();
        self.program.graph.info(whole).bytes() <= self.most
            && !self.outside.contains(&value)
            && self.program.graph.info(value).dtype == self.program.graph.info(whole).dtype
            && [value, whole].iter().all(|value| !self.elsewhere.contains(&self.roots[value.index()]))
            && taken == usize::from(concat.is_some())
            && readers.iter().all(|node| is_concat(node) || kernels::reads_apart(node, value))
    }

    /// `value` in `whole` from channel `start` on.
    fn view(&self, value: Value, whole: Value, start: usize) -> View {
        let sample = |value: Value| self.program.graph.shape(value)[1..].iter().product::<usize>();
        let channel = self.program.graph.shape(whole)[2..].iter().product::<usize>();
        View { of: whole, first: start * channel, gap: sample(whole) - sample(value) }
    }
}

impl Lowering<'_> {
    /// Whether `value` lies in another tensor, so that there is nothing to copy.
    pub fn is_view(&self, value: Value) -> bool {
        self.views.contains_key(&value)
    }

    /// The tensor that is bound for `value`, and its bytes that are none of the samples at hand.
    pub(super) fn around(&self, value: Value) -> (Value, u64) {
        let whole = self.views.get(&value).map_or(value, |view| view.of);
        (whole, self.graph.info(whole).bytes() - self.graph.info(value).bytes())
    }

    /// Where the samples at hand of `value` lie in what launches bind for it: without gaps from the beginning, but for
    /// operands of which `kernels::writes_apart` or `kernels::reads_apart` says that their kernels ask for this.
    pub fn apart(&self, value: Value) -> Apart {
        let Some(view) = self.views.get(&value) else { return Apart::default() };
        let sample: usize = self.graph.shape(value)[1..].iter().product();
        Apart { first: view.first + self.first_row_of(value) * (sample + view.gap), gap: view.gap }
    }
}

//! Functions of elements that run as one: what a plan makes of them, see [`crate::plan`].

use super::op::Inferred;
use super::*;

/// Functions of elements, each of operands or of what others of the group compute.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// The extents of its results; operands have them, or are repeated to them.
    pub shape: Shape,
    /// In the order in which they are computed.
    pub steps: Vec<Step>,
    /// What is stored.
    pub results: Vec<Term>,
    /// Results and the operands in whose places they are stored, which nothing reads any more.
    pub in_place: Vec<(usize, usize)>,
}

/// A function of a [`Chain`].
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// [`Op::Unary`], [`Op::UnaryBackward`] or [`Op::Binary`].
    pub function: Op,
    /// What it takes.
    pub operands: Vec<Term>,
}

/// What a step of a [`Chain`] takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Term {
    /// An operand of the chain.
    Operand(usize),
    /// What an earlier step yields.
    Step(usize),
    /// The same number everywhere.
    Number(f32),
}

/// How a tensor is repeated to more elements: element `i` is number `i / inner % extent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Repeat {
    /// Elements in a row with the same number.
    pub inner: usize,
    /// Numbers of the tensor.
    pub extent: usize,
}

impl Repeat {
    /// How `from` is repeated to `to`; `None` where it is not, or along axes with others between them.
    pub fn new(from: &[usize], to: &[usize]) -> Option<Self> {
        if broadcast_shapes(from, to).as_deref() != Some(to) {
            return None;
        }
        let (mut inner, mut extent, mut ended) = (1, 1, false);
        for (back, &size) in to.iter().rev().enumerate().filter(|(_, size)| **size > 1) {
            let kept = back < from.len() && from[from.len() - 1 - back] == size;
            match (kept, extent > 1) {
                (true, _) if ended => return None,
                (true, _) => extent *= size,
                (false, true) => ended = true,
                (false, false) => inner *= size,
            }
        }
        Some(Self { inner, extent })
    }
}

impl Chain {
    /// The names of its functions.
    pub(crate) fn title(&self) -> String {
        self.steps.iter().map(|step| step.function.name()).collect::<Vec<_>>().join("+")
    }

    pub(super) fn infer(&self, inputs: &[&ValueInfo]) -> Inferred {
        match inputs.iter().find(|info| Repeat::new(&info.shape, &self.shape).is_none()) {
            Some(info) => Err(format!("chain: {:?} is not simply repeated to {:?}", info.shape, self.shape)),
            None => Ok(vec![(self.shape.clone(), DType::F32); self.results.len()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetition_is_of_one_stretch_of_axes() {
        let repeat = |from: &[usize], to: &[usize]| Repeat::new(from, to).map(|r| (r.inner, r.extent));
        assert_eq!(repeat(&[2, 3, 4], &[2, 3, 4]), Some((1, 24)));
        assert_eq!(repeat(&[], &[2, 3]), Some((6, 1)));
        assert_eq!(repeat(&[3, 1, 1], &[2, 3, 4, 5]), Some((20, 3)));
        assert_eq!(repeat(&[5], &[2, 3, 5]), Some((1, 5)));
        assert_eq!(repeat(&[2, 1, 1], &[2, 3, 4]), Some((12, 2)));
        assert_eq!(repeat(&[3, 1, 4, 1], &[2, 3, 1, 4, 6]), Some((6, 12)));
        assert_eq!(repeat(&[2, 1, 4], &[2, 3, 4]), None);
        assert_eq!(repeat(&[2], &[3]), None);
        assert_eq!(repeat(&[2, 3], &[3]), None);
    }
}

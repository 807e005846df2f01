//! Axes continued beyond their ends with what lies there.

use super::op::Inferred;
use super::*;

/// With what an axis is continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PadMode {
    /// Its mirror image; the edge itself is not repeated (PyTorch's `reflect`).
    Reflect,
    /// The edge, over and over (PyTorch's `replicate`).
    Replicate,
}

/// An axis continued at both ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EdgePad {
    /// The axis.
    pub axis: usize,
    /// Positions added before and after.
    pub amounts: [usize; 2],
    /// What they hold.
    pub mode: PadMode,
}

/// The most positions that are added at one end: their gradients are added up one after the other, and some drivers run no
/// longer loops.
const MOST: usize = 32_768;

impl EdgePad {
    pub(super) fn name(&self) -> &'static str {
        match self.mode {
            PadMode::Reflect => "reflection_pad",
            PadMode::Replicate => "replication_pad",
        }
    }

    pub(super) fn backward_name(&self) -> &'static str {
        match self.mode {
            PadMode::Reflect => "reflection_pad_backward",
            PadMode::Replicate => "replication_pad_backward",
        }
    }

    pub(super) fn infer(&self, inputs: &[&ValueInfo]) -> Inferred {
        let mut shape = inputs[0].shape.clone();
        let (name, axis, [before, after]) = (self.name(), self.axis, self.amounts);
        let Some(&extent) = shape.get(axis) else {
            return Err(format!("{name}: axis {axis} does not exist in {shape:?}"));
        };
        let most = if self.mode == PadMode::Reflect { extent - 1 } else { MOST };
        if before.max(after) > most.min(MOST) {
            return Err(format!(
                "{name}: at most {} positions can be added at an end of axis {axis} of {shape:?}, not {before} and {after}",
                most.min(MOST)
            ));
        }
        shape[axis] = extent + before + after;
        Ok(vec![(shape, DType::F32)])
    }

    pub(super) fn infer_backward(&self, inputs: &[&ValueInfo]) -> Inferred {
        let mut shape = inputs[0].shape.clone();
        let added: usize = self.amounts.iter().sum();
        match shape.get_mut(self.axis).and_then(|extent| Some((extent.checked_sub(added)?, extent))) {
            Some((length, extent)) if length > 0 => *extent = length,
            _ => return Err(format!("{}: {added} positions of {shape:?} leave nothing", self.backward_name())),
        }
        Ok(vec![(shape, DType::F32)])
    }

    pub(super) fn gradient(&self, graph: &mut Graph, grad: Value) -> Result<Vec<Option<Value>>> {
        Ok(vec![Some(graph.add_one(Op::EdgePadBackward(self.clone()), &[grad])?)])
    }
}

impl Graph {
    /// `x` with its last two axes continued: rows above and below, columns at the left and at the right.
    pub fn edge_pad(&mut self, x: Value, rows: [usize; 2], columns: [usize; 2], mode: PadMode) -> Result<Value> {
        let rank = self.shape(x).len();
        if rank < 2 {
            let message = format!("padding wants a tensor of two axes or more, got {:?}", self.shape(x));
            return Err(Error::shape(self.path(""), message));
        }
        let mut padded = x;
        for (axis, amounts) in [(rank - 2, rows), (rank - 1, columns)] {
            if amounts != [0; 2] {
                padded = self.add_one(Op::EdgePad(EdgePad { axis, amounts, mode }), &[padded])?;
            }
        }
        Ok(padded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_and_errors() {
        let mut g = Graph::new();
        let x = g.input("x", &[2, 3, 4], DType::F32).unwrap();
        let y = g.edge_pad(x, [2, 1], [0, 3], PadMode::Reflect).unwrap();
        assert_eq!(g.shape(y), [2, 6, 7]);
        let y = g.edge_pad(x, [0, 30], [5, 0], PadMode::Replicate).unwrap();
        assert_eq!(g.shape(y), [2, 33, 9]);
        assert_eq!(g.edge_pad(x, [0; 2], [0; 2], PadMode::Reflect).unwrap(), x);
        let error = g.edge_pad(x, [0, 3], [0; 2], PadMode::Reflect).unwrap_err().to_string();
        assert!(error.contains("at most 2 positions") && error.contains("[2, 3, 4]"), "{error}");
        let error = g.edge_pad(x, [0; 2], [usize::MAX, 1], PadMode::Replicate).unwrap_err().to_string();
        assert!(error.contains("at most 32768"), "{error}");
        let line = g.input("line", &[7], DType::F32).unwrap();
        let error = g.edge_pad(line, [1; 2], [1; 2], PadMode::Reflect).unwrap_err().to_string();
        assert!(error.contains("two axes"), "{error}");
    }
}

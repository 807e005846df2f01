//! Where parameters lie in their arenas.

use super::{ALIGNMENT, Arena, Region, Role, Target, aligned};
use crate::graph::{Graph, Value};
use crate::{Error, Result};

/// A parameter's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterPlace {
    /// Its path, as in a PyTorch `state_dict`.
    pub name: String,
    /// Its extents.
    pub shape: Vec<usize>,
    /// The parameter in the graph.
    pub value: Value,
    /// Which piece of the arena.
    pub piece: usize,
    /// Bytes from the start of that piece.
    pub offset: u64,
}

impl ParameterPlace {
    /// The bytes of its numbers.
    pub fn bytes(&self) -> u64 {
        4 * self.shape.iter().product::<usize>() as u64
    }

    /// Its numbers in one of the arenas.
    pub fn region(&self, arena: Arena) -> Region {
        Region { role: Role::Arena(arena, self.piece), offset: self.offset, size: self.bytes() }
    }
}

/// All parameters of a graph in the order of their declaration, one after the other; gradients and optimizer state are
/// laid out in the same way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParameterLayout {
    places: Vec<ParameterPlace>,
    buffers: Vec<u64>,
}

impl ParameterLayout {
    /// Lays the parameters of `graph` out in pieces that `target` can hold.
    pub fn new(graph: &Graph, target: &Target) -> Result<Self> {
        let mut layout = Self::default();
        for (name, value) in graph.parameters() {
            let bytes = graph.info(value).bytes();
            if bytes > target.max_binding {
                return Err(Error::Limit {
                    what: format!("parameter {name} of shape {:?}", graph.shape(value)),
                    need: bytes,
                    have: target.max_binding,
                    hint: "choose an adapter that binds larger ranges (wgrad devices)".into(),
                });
            }
            let fits = layout.buffers.last().is_some_and(|used| used + aligned(bytes) <= target.max_buffer);
            if !fits {
                layout.buffers.push(0);
            }
            let piece = layout.buffers.len() - 1;
            let offset = layout.buffers[piece];
            layout.buffers[piece] += aligned(bytes);
            layout.places.push(ParameterPlace {
                name: name.into(),
                shape: graph.shape(value).into(),
                value,
                piece,
                offset,
            });
        }
        Ok(layout)
    }

    /// The parameters.
    pub fn iter(&self) -> impl Iterator<Item = &ParameterPlace> {
        self.places.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The place of a parameter.
    pub fn find(&self, value: Value) -> Option<&ParameterPlace> {
        self.places.iter().find(|place| place.value == value)
    }

    /// How many numbers the parameters have, without padding.
    pub fn count(&self) -> u64 {
        self.places.iter().map(|place| place.bytes() / 4).sum()
    }

    /// Bytes of the arena's pieces.
    pub fn buffers(&self) -> &[u64] {
        &self.buffers
    }

    /// The pieces cut further, into ranges that can be bound.
    pub(crate) fn pieces(&self, max_binding: u64) -> Vec<u64> {
        self.ranges(max_binding).into_iter().map(|(_, _, bytes)| bytes).collect()
    }

    /// Range `index` of [`ParameterLayout::pieces`] in `arena`.
    pub(super) fn range(&self, arena: Arena, index: usize, max_binding: u64) -> Region {
        let (piece, offset, size) = self.ranges(max_binding)[index];
        Region { role: Role::Arena(arena, piece), offset, size }
    }

    fn ranges(&self, max_binding: u64) -> Vec<(usize, u64, u64)> {
        let most = max_binding / ALIGNMENT * ALIGNMENT;
        let cut = |(piece, &bytes): (usize, &u64)| {
            (0..bytes.div_ceil(most)).map(move |i| (piece, i * most, most.min(bytes - i * most))).collect::<Vec<_>>()
        };
        self.buffers.iter().enumerate().flat_map(cut).collect()
    }
}

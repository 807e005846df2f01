//! Where the tensors that outlive a step lie in their arenas.

use super::{ALIGNMENT, Arena, Region, Role, Target, aligned};
use crate::graph::{Graph, Value, lies_below};
use crate::{Error, Result};

/// How a tensor that outlives a step is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    /// Trained, with the optimizer's weight decay.
    Decayed,
    /// Trained without decay.
    Undecayed,
    /// Not touched by the optimizer: frozen parameters, and buffers such as running statistics.
    Kept,
}

/// Which parameters are trained, and which of those decay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    /// Paths whose parameters are kept as they are: `features` means `features` and all below it.
    pub frozen: Vec<String>,
    /// Whether tensors of a single axis (biases, scales and shifts of normalisations) are spared from decay.
    pub spare_vectors: bool,
}

impl Groups {
    /// Whether the parameter of this name is frozen.
    pub fn is_frozen(&self, name: &str) -> bool {
        self.frozen.iter().any(|path| lies_below(name, path))
    }

    /// The group of a parameter.
    pub fn of(&self, name: &str, shape: &[usize]) -> Group {
        match (self.is_frozen(name), self.spare_vectors && shape.len() < 2) {
            (true, _) => Group::Kept,
            (false, true) => Group::Undecayed,
            (false, false) => Group::Decayed,
        }
    }
}

/// The place of a parameter or buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterPlace {
    /// Its path, as in a PyTorch `state_dict`.
    pub name: String,
    /// Its extents.
    pub shape: Vec<usize>,
    /// The tensor in the graph.
    pub value: Value,
    /// How it is treated.
    pub group: Group,
    /// Its parts in order: piece of the arena, bytes from that piece's start, bytes. More than one only where the whole
    /// is more than a binding can cover; the cuts are between rows.
    parts: Vec<(usize, u64, u64)>,
}

impl ParameterPlace {
    /// The bytes of its numbers.
    pub fn bytes(&self) -> u64 {
        4 * self.shape.iter().product::<usize>() as u64
    }

    /// Its numbers in one of the arenas, part by part.
    pub fn regions(&self, arena: Arena) -> Vec<Region> {
        let region =
            |&(piece, offset, size): &(usize, u64, u64)| Region { role: Role::Arena(arena, piece), offset, size };
        self.parts.iter().map(region).collect()
    }
}

/// A stretch of an arena of no more than one binding, all of whose parameters are in one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stretch {
    /// The group.
    pub group: Group,
    /// The piece of the arena.
    pub piece: usize,
    /// Bytes from the start of the piece.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

impl Stretch {
    /// The stretch in one of the arenas.
    pub(super) fn region(&self, arena: Arena) -> Region {
        Region { role: Role::Arena(arena, self.piece), offset: self.offset, size: self.size }
    }
}

/// All parameters and buffers of a graph in the order of their declaration. Those of one group follow each other in pieces
/// that a buffer can hold; gradients and optimizer state are laid out in the same way, but have no pieces for
/// [`Group::Kept`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParameterLayout {
    places: Vec<ParameterPlace>,
    pieces: Vec<(Group, u64)>,
}

impl ParameterLayout {
    /// Lays the parameters and buffers of `graph` out in pieces that `target` can hold.
    pub fn new(graph: &Graph, groups: &Groups, target: &Target) -> Result<Self> {
        let mut layout = Self::default();
        for (name, value, trainable) in graph.state() {
            let shape = graph.shape(value);
            let group = if trainable { groups.of(name, shape) } else { Group::Kept };
            let rows = shape.first().copied().unwrap_or(1);
            let row_bytes = graph.info(value).bytes() / rows as u64;
            let per_part = target.rows_per_binding(rows, row_bytes).ok_or_else(|| Error::Limit {
                what: format!("a row of parameter {name} of shape {shape:?}"),
                need: row_bytes,
                have: target.max_binding.min(target.max_buffer),
                hint: "choose an adapter that binds larger ranges (wgrad devices)".into(),
            })?;
            let cuts = (0..rows).step_by(per_part).map(|first| per_part.min(rows - first) as u64 * row_bytes);
            let parts = cuts.map(|bytes| layout.reserve(group, bytes, target.max_buffer)).collect();
            layout.places.push(ParameterPlace { name: name.into(), shape: shape.into(), value, group, parts });
        }
        Ok(layout)
    }

    fn reserve(&mut self, group: Group, bytes: u64, max_buffer: u64) -> (usize, u64, u64) {
        let last = self.pieces.iter().rposition(|(other, _)| *other == group);
        let piece = last.filter(|&piece| self.pieces[piece].1 + aligned(bytes) <= max_buffer).unwrap_or_else(|| {
            self.pieces.push((group, 0));
            self.pieces.len() - 1
        });
        let offset = self.pieces[piece].1;
        self.pieces[piece].1 += aligned(bytes);
        (piece, offset, bytes)
    }

    /// The parameters and buffers.
    pub fn iter(&self) -> impl Iterator<Item = &ParameterPlace> {
        self.places.iter()
    }

    /// Those that an optimizer changes.
    pub fn trained(&self) -> impl Iterator<Item = &ParameterPlace> {
        self.places.iter().filter(|place| place.group != Group::Kept)
    }

    /// The place of a parameter or buffer.
    pub fn find(&self, value: Value) -> Option<&ParameterPlace> {
        self.places.iter().find(|place| place.value == value)
    }

    /// How many numbers there are, without padding.
    pub fn count(&self) -> u64 {
        self.places.iter().map(|place| place.bytes() / 4).sum()
    }

    /// The buffers of an arena: index of the piece and bytes.
    pub fn buffers(&self, arena: Arena) -> impl Iterator<Item = (usize, u64)> {
        let pieces = self.pieces.iter().enumerate();
        pieces
            .filter(move |(_, (group, _))| arena == Arena::Parameters || *group != Group::Kept)
            .map(|(i, piece)| (i, piece.1))
    }

    /// What an optimizer updates, in stretches that can be bound.
    pub(crate) fn stretches(&self, max_binding: u64) -> Vec<Stretch> {
        let most = max_binding / ALIGNMENT * ALIGNMENT;
        let trained = self.pieces.iter().enumerate().filter(|(_, (group, _))| *group != Group::Kept);
        let cut = |(piece, &(group, bytes)): (usize, &(Group, u64))| {
            let cuts = (0..bytes).step_by(most as usize);
            cuts.map(move |offset| Stretch { group, piece, offset, size: most.min(bytes - offset) })
        };
        trained.flat_map(cut).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Init;
    use crate::plan::Class;

    fn graph() -> Graph {
        let mut graph = Graph::new();
        graph.parameter("features.weight", &[64, 100], Init::Constant(0.0)).unwrap();
        graph.parameter("features.bias", &[64], Init::Constant(0.0)).unwrap();
        graph.buffer("features.running_mean", &[64], Init::Constant(0.0)).unwrap();
        graph.parameter("fc.weight", &[1000, 64], Init::Constant(0.0)).unwrap();
        graph.parameter("fc.bias", &[1000], Init::Constant(0.0)).unwrap();
        graph
    }

    #[test]
    fn groups_have_pieces_of_their_own() {
        let groups = Groups { frozen: vec!["features".into()], spare_vectors: true };
        let layout = ParameterLayout::new(&graph(), &groups, &Target::portable(Class::Cpu)).unwrap();
        let found: Vec<(Group, usize)> =
            layout.iter().map(|place| (place.group, place.regions(Arena::Parameters).len())).collect();
        let kept = (Group::Kept, 1);
        assert_eq!(found, [kept, kept, kept, (Group::Decayed, 1), (Group::Undecayed, 1)]);
        assert_eq!(layout.buffers(Arena::Parameters).count(), 3);
        assert_eq!(layout.buffers(Arena::Gradients).collect::<Vec<_>>(), [(1, 256_000), (2, 4096)]);
        assert_eq!(layout.stretches(1 << 20).len(), 2);
        assert!(!groups.is_frozen("features2.weight") && groups.is_frozen("features"));
    }

    #[test]
    fn what_no_binding_covers_is_cut_between_rows() {
        let target = Target { max_binding: 100_000, max_buffer: 150_000, ..Target::portable(Class::Cpu) };
        let layout = ParameterLayout::new(&graph(), &Groups::default(), &target).unwrap();
        let fc = layout.iter().find(|place| place.name == "fc.weight").unwrap();
        let sizes: Vec<u64> = fc.regions(Arena::Parameters).iter().map(|region| region.size).collect();
        // 384 rows of 256 bytes, a multiple of 64 rows.
        assert_eq!(sizes, [98_304, 98_304, 59_392]);
        assert!(layout.buffers(Arena::Parameters).all(|(_, bytes)| bytes <= 150_000));
        let small = Target { max_binding: 300, ..target };
        let error = ParameterLayout::new(&graph(), &Groups::default(), &small).unwrap_err().to_string();
        assert!(error.contains("a row of parameter features.weight"), "{error}");
    }
}

//! Where everything lies.
//!
//! Parameters, gradients and inputs have fixed places. All else lives from the first launch that binds it to the last,
//! and tensors whose lives do not overlap may lie at the same address, each at the lowest that is free during its life.

use super::{
    ALIGNMENT, Arena, Group, Launch, Lowering, Operand, ParameterLayout, Program, RECORD_BYTES, Record, Region, Role,
    SLOTS, Target, aligned,
};
use crate::graph::Value;
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The places of a program's values and temporaries.
pub(super) struct Placement<'a> {
    program: &'a Program,
    layout: &'a ParameterLayout,
    roots: &'a [Value],
    fixed: HashMap<Value, Vec<Region>>,
    placed: HashMap<Operand, Region>,
    /// Rows of those tensors of which there is only a block at a time.
    inner: HashMap<Value, usize>,
}

/// A tensor with the launches between which it must keep its place.
struct Life {
    operand: Operand,
    bytes: u64,
    first: usize,
    last: usize,
}

impl<'a> Placement<'a> {
    pub fn new(
        program: &'a Program,
        layout: &'a ParameterLayout,
        roots: &'a [Value],
        inner: HashMap<Value, usize>,
    ) -> Self {
        let mut fixed = HashMap::new();
        for place in layout.iter() {
            let arena = if place.group == Group::Kept { Arena::Parameters } else { program.weights };
            fixed.insert(place.value, place.regions(arena));
        }
        for (name, value) in program.graph.inputs() {
            let size = program.graph.info(value).bytes().next_multiple_of(4);
            fixed.insert(value, vec![Region { role: Role::Input(name.into()), offset: 0, size }]);
        }
        Self { program, layout, roots, fixed, placed: HashMap::new(), inner }
    }

    /// Lets gradients be computed where the update reads them; what cannot (a tensor that is the gradient of two
    /// parameters, or no intermediate result) is copied there.
    pub fn collect_gradients(&mut self, ctx: &mut Lowering) -> Result<()> {
        for &(parameter, grad) in &self.program.gradients {
            let place = self.layout.find(parameter).expect("gradients are asked for parameters");
            if place.group == Group::Kept {
                return Err(Error::shape(&*place.name, "a gradient is asked for, but this parameter is frozen"));
            }
            let root = self.roots[grad.index()];
            let regions = place.regions(Arena::Gradients);
            if !self.fixed.contains_key(&root) && !self.program.outputs.contains(&grad) {
                self.fixed.insert(root, regions);
                continue;
            }
            let mut shape = place.shape.clone();
            let mut first = 0;
            for (part, region) in regions.into_iter().enumerate() {
                if let Some(rows) = shape.first_mut() {
                    *rows = (region.size / (place.bytes() / place.shape[0] as u64)) as usize;
                }
                let rows = shape.first().copied().unwrap_or(1);
                let copy = Operand::Gradient(parameter, part);
                self.placed.insert(copy, region);
                crate::kernels::copy(ctx, Operand::Rows(root, first, rows), copy, &shape)?;
                first += rows;
            }
        }
        Ok(())
    }

    /// Places all else; yields the lower bound on its memory.
    pub fn place(
        &mut self,
        launches: &[Launch],
        temporaries: &[u64],
        target: &Target,
        buffers: &mut BTreeMap<Role, u64>,
    ) -> Result<u64> {
        let lives = self.lives(launches, temporaries);
        let alive = alive(&lives, launches.len());
        if let Some(life) = lives.iter().find(|life| life.bytes > target.max_buffer) {
            let (what, hint) = (self.describe(life, launches), "use a smaller --batch-size".into());
            return Err(Error::Limit { what, need: life.bytes, have: target.max_buffer, hint });
        }
        for (life, (piece, offset)) in lives.iter().zip(pack(&lives, &alive, target.max_buffer)) {
            let role = Role::Activations(piece);
            let end = buffers.entry(role.clone()).or_insert(0);
            *end = (*end).max(offset + life.bytes);
            self.placed.insert(life.operand, Region { role, offset, size: life.bytes });
        }
        Ok(alive.into_iter().max().unwrap_or(0))
    }

    fn lives(&self, launches: &[Launch], temporaries: &[u64]) -> Vec<Life> {
        let mut ends: BTreeMap<(bool, usize), (usize, usize)> = BTreeMap::new();
        for (index, launch) in launches.iter().enumerate() {
            for operand in &launch.operands {
                let key = match *operand {
                    Operand::Value(value) | Operand::Rows(value, ..) => {
                        let root = self.roots[value.index()];
                        if self.fixed.contains_key(&root) {
                            continue;
                        }
                        (false, root.index())
                    }
                    Operand::Temporary(temporary) if temporary < temporaries.len() => (true, temporary),
                    _ => continue,
                };
                ends.entry(key).or_insert((index, index)).1 = index;
            }
        }
        let kept: BTreeSet<usize> =
            self.program.outputs.iter().map(|output| self.roots[output.index()].index()).collect();
        ends.into_iter()
            .map(|((temporary, index), (first, last))| {
                let (operand, bytes) = match temporary {
                    true => (Operand::Temporary(index), temporaries[index]),
                    false => {
                        let value = Value(index as u32);
                        (Operand::Value(value), self.bytes(value))
                    }
                };
                let last = if !temporary && kept.contains(&index) { launches.len() } else { last };
                Life { operand, bytes: aligned(bytes), first, last }
            })
            .collect()
    }

    /// The bytes of a tensor, as far as they are there at once.
    fn bytes(&self, value: Value) -> u64 {
        let info = self.program.graph.info(value);
        self.inner.get(&value).map_or(info.bytes(), |&rows| info.bytes() / info.shape[0] as u64 * rows as u64)
    }

    /// The regions that `launch` binds, whole vectors of four numbers each.
    pub fn bindings(&self, launch: &Launch, target: &Target) -> Result<Vec<Region>> {
        let mut nulls = 0;
        let mut regions = Vec::with_capacity(launch.operands.len());
        for operand in &launch.operands {
            let mut region = match *operand {
                Operand::Value(value) => {
                    let size = self.program.graph.info(value).bytes();
                    self.region(value, 0, size).ok_or_else(|| self.unplaced(launch, value, target))?
                }
                Operand::Rows(value, first, rows) => {
                    let info = self.program.graph.info(value);
                    let row = info.bytes() / info.shape.first().copied().unwrap_or(1) as u64;
                    let region = self.region(value, first as u64 * row, rows as u64 * row);
                    region.ok_or_else(|| self.unplaced(launch, value, target))?
                }
                Operand::Temporary(_) | Operand::Gradient(..) => self.placed[operand].clone(),
                Operand::Arena(arena, stretch) => stretch.region(arena),
                Operand::Records => {
                    let slots = if self.program.record == Record::None { 1 } else { SLOTS as u64 };
                    Region { role: Role::Records, offset: 0, size: slots * RECORD_BYTES }
                }
                Operand::Null => {
                    nulls += 1;
                    Region { role: Role::Null, offset: (nulls - 1) * ALIGNMENT, size: ALIGNMENT }
                }
            };
            region.size = region.size.next_multiple_of(16);
            if region.size > target.max_binding {
                return Err(Error::Limit {
                    what: format!("{}: kernel {} on {}", launch.layer, launch.kernel.name, region.role),
                    need: region.size,
                    have: target.max_binding,
                    hint: "use a smaller --batch-size or a smaller data set".into(),
                });
            }
            regions.push(region);
        }
        Ok(regions)
    }

    /// Where inputs and outputs lie, for those who fill and read them.
    pub fn kept(&self, program: &Program) -> Result<BTreeMap<Value, Region>> {
        let inputs = program.graph.inputs().map(|(_, value)| value);
        let mut regions = BTreeMap::new();
        for value in inputs.chain(program.outputs.iter().copied()) {
            let missing = || Error::shape("plan", format!("output %{} is never computed, or in parts", value.index()));
            let region = self.region(value, 0, program.graph.info(value).bytes()).ok_or_else(missing)?;
            regions.insert(value, region);
        }
        Ok(regions)
    }

    /// Where `size` bytes of a value lie, from its byte `start` on; `None` where they are cut apart, or nowhere.
    fn region(&self, value: Value, start: u64, size: u64) -> Option<Region> {
        let root = self.roots[value.index()];
        let start = if self.inner.contains_key(&root) { 0 } else { start };
        let mut before = 0;
        let fixed = self.fixed.get(&root).map(Vec::as_slice);
        let parts = fixed.or_else(|| self.placed.get(&Operand::Value(root)).map(std::slice::from_ref))?;
        let part = parts.iter().find(|part| {
            before += part.size;
            start < before
        })?;
        let within = start - (before - part.size);
        (within + size <= part.size).then(|| Region { role: part.role.clone(), offset: part.offset + within, size })
    }

    fn unplaced(&self, launch: &Launch, value: Value, target: &Target) -> Error {
        let node = self.program.graph.producer(value);
        let (name, info) = (node.op.name(), self.program.graph.info(value));
        match info.bytes() > target.max_binding {
            true => Error::Limit {
                what: format!("{}: {} on {name} {} {:?}", launch.layer, launch.kernel.name, node.layer, info.shape),
                need: info.bytes(),
                have: target.max_binding,
                hint: "this kernel cannot work on a part at a time; use a smaller --batch-size".into(),
            },
            false => {
                Error::shape(&*launch.layer, format!("{} binds a {name} that nothing computes", launch.kernel.name))
            }
        }
    }

    fn describe(&self, life: &Life, launches: &[Launch]) -> String {
        match life.operand {
            Operand::Value(value) => {
                let node = self.program.graph.producer(value);
                format!("{}: the result of {}, {:?},", node.layer, node.op.name(), self.program.graph.shape(value))
            }
            _ => format!("{}: scratch memory of {}", launches[life.first].layer, launches[life.first].kernel.name),
        }
    }
}

/// The bytes that are alive at each launch.
fn alive(lives: &[Life], launches: usize) -> Vec<u64> {
    let mut change = vec![0_i64; launches + 2];
    for life in lives {
        change[life.first] += life.bytes as i64;
        change[life.last + 1] -= life.bytes as i64;
    }
    let mut alive = 0;
    let sum = |bytes| {
        alive += bytes;
        alive as u64
    };
    change.into_iter().map(sum).collect()
}

/// Rounds of improvement that each order gets.
const ROUNDS: usize = 24;

/// A buffer and an offset for each life. Tensors are placed one after the other, in several orders: largest first; those
/// first that are alive while most is; longest first. As long as that helps, whatever stands out at the top is placed
/// before all others.
fn pack(lives: &[Life], alive: &[u64], max_buffer: u64) -> Vec<(usize, u64)> {
    let lower_bound = alive.iter().copied().max().unwrap_or(0);
    let pressure: Vec<u64> = lives
        .iter()
        .map(|life| alive[life.first..=life.last.min(alive.len() - 1)].iter().copied().max().unwrap_or(0))
        .collect();
    let span = |index: usize| lives[index].last - lives[index].first;
    let sizes: Vec<usize> = sorted(lives, |index| (lives[index].bytes, 0));
    let orders = [
        sizes,
        sorted(lives, |index| (pressure[index], lives[index].bytes)),
        sorted(lives, |index| (pressure[index], span(index) as u64)),
        sorted(lives, |index| (span(index) as u64, lives[index].bytes)),
    ];
    // Large plans take long to pack; what is so near is good enough.
    let near = lower_bound + lower_bound / 200;
    let mut best = (u64::MAX, vec![]);
    for mut order in orders {
        for _ in 0..ROUNDS {
            let places = pack_in_order(lives, &order, max_buffer);
            let total = total(lives, &places);
            let end = |&index: &usize| (places[index].0, places[index].1 + lives[index].bytes);
            let highest = order.iter().map(end).max();
            let top = order.iter().position(|index| Some(end(index)) == highest);
            if total < best.0 {
                best = (total, places);
            }
            let Some(top) = top.filter(|_| total > near) else { break };
            let moved = order.remove(top);
            order.insert(0, moved);
        }
        if best.0 <= near {
            break;
        }
    }
    best.1
}

/// All lives, the largest key first.
fn sorted(lives: &[Life], key: impl Fn(usize) -> (u64, u64)) -> Vec<usize> {
    let mut order: Vec<usize> = (0..lives.len()).collect();
    order.sort_by_key(|&index| (std::cmp::Reverse(key(index)), lives[index].first, lives[index].last));
    order
}

/// Bytes of all buffers.
fn total(lives: &[Life], places: &[(usize, u64)]) -> u64 {
    let mut ends: Vec<u64> = vec![];
    for (life, &(piece, offset)) in lives.iter().zip(places) {
        ends.resize(ends.len().max(piece + 1), 0);
        ends[piece] = ends[piece].max(offset + life.bytes);
    }
    ends.iter().sum()
}

fn pack_in_order(lives: &[Life], order: &[usize], max_buffer: u64) -> Vec<(usize, u64)> {
    let mut places = vec![(0, 0); lives.len()];
    for (count, &index) in order.iter().enumerate() {
        let done = || order[..count].iter().map(|&other| (&lives[other], places[other]));
        let fits = |piece| free_offset(done(), &lives[index], piece, max_buffer).map(|offset| (piece, offset));
        places[index] = (0..=count).find_map(fits).unwrap_or_default();
    }
    places
}

/// The lowest offset of a buffer at which `life` meets nothing that is alive with it.
fn free_offset<'a>(
    done: impl Iterator<Item = (&'a Life, (usize, u64))>,
    life: &Life,
    piece: usize,
    max_buffer: u64,
) -> Option<u64> {
    let mut taken: Vec<(u64, u64)> = done
        .filter(|(other, (at, _))| *at == piece && other.first <= life.last && life.first <= other.last)
        .map(|(other, (_, offset))| (offset, offset + other.bytes))
        .collect();
    taken.sort_unstable();
    let mut offset = 0;
    for (start, end) in taken {
        if offset + life.bytes <= start {
            break;
        }
        offset = offset.max(end);
    }
    (offset + life.bytes <= max_buffer).then_some(offset)
}

//! What outlives a session: weights, optimizer state and the scale of the loss, to and from files.

use super::{Session, floats};
use crate::graph::Graph;
use crate::io::{Loaded, TensorFile};
use crate::plan::{Arena, Group, ParameterPlace, Plan, Region, Role};
use crate::train::checkpoint::{self, SCALE, STATE};
use crate::train::initial_state;
use crate::train::run_plan::{LOSS_SCALE, LOSS_SCALE_HISTORY};
use crate::{Error, Result};

impl Session {
    /// Draws first weights from `seed`.
    pub fn initialize(&self, graph: &Graph, seed: u64) -> Result<()> {
        self.write_parameters(Arena::Parameters, &initial_state(graph, seed))
    }

    /// Takes weights out of `file`; state of an optimizer in it is left alone.
    pub fn load_weights(&self, file: &mut TensorFile) -> Result<Loaded> {
        let weights = file.take_exact(&self.names(Arena::Parameters, ""), |name| name.starts_with(STATE))?;
        self.write_parameters(Arena::Parameters, &weights)?;
        Ok(Loaded::whole(file, &weights))
    }

    /// Takes those weights out of `file` that fit; the others stay what they are.
    pub fn load_partial(&self, file: &mut TensorFile) -> Result<Loaded> {
        let names = self.names(Arena::Parameters, "");
        let (weights, loaded) = file.take_partial(&names, |name| name.starts_with(STATE))?;
        for (place, weights) in places(&self.train, Arena::Parameters).zip(&weights) {
            if let Some(weights) = weights {
                let regions = place.regions(Arena::Parameters);
                self.memory.write_parts(&self.gpu, &regions, bytemuck::cast_slice(weights))?;
            }
        }
        Ok(loaded)
    }

    /// Takes weights and optimizer state out of `file`, which must hold just these.
    pub fn load_state(&self, file: &mut TensorFile) -> Result<()> {
        self.load_weights(file)?;
        for &(arena, state) in &self.states {
            let names = self.names(arena, &format!("{STATE}{state}."));
            let numbers = file
                .take_exact(&names, |name| name.starts_with(STATE) && !names.iter().any(|(other, _)| other == name))?;
            self.write_parameters(arena, &numbers)?;
        }
        if self.scaled {
            let name = format!("{STATE}{SCALE}");
            let other = |found: &str| found.starts_with(STATE) && found != name;
            let numbers = file.take_exact(&[(name.clone(), vec![3])], other)?;
            let scale = numbers[0][0];
            if !(scale.is_finite() && scale > 0.0) {
                let message = format!("tensor `{name}` begins with {scale}; it must be the positive factor of a loss");
                return Err(Error::format(file.path(), message));
            }
            for (name, numbers) in
                [LOSS_SCALE, LOSS_SCALE_HISTORY].into_iter().zip([&numbers[0][..1], &numbers[0][1..]])
            {
                let region = Region { role: Role::Input(name.into()), offset: 0, size: 4 * numbers.len() as u64 };
                self.memory.write(&self.gpu, &region, bytemuck::cast_slice(numbers))?;
            }
        }
        Ok(())
    }

    /// Reads weights and optimizer state.
    pub async fn save_state(&mut self) -> Result<TensorFile> {
        let mut file = TensorFile::new();
        self.save(&mut file, Arena::Parameters, "").await?;
        for (arena, state) in self.states.clone() {
            self.save(&mut file, arena, &format!("{STATE}{state}.")).await?;
        }
        if self.scaled {
            let mut numbers = vec![];
            for (name, count) in [(LOSS_SCALE, 1), (LOSS_SCALE_HISTORY, 2)] {
                let buffer = self.memory.get(&Role::Input(name.into()))?;
                numbers.extend(floats(&self.download.download(&self.gpu, buffer, 0, 4 * count).await?));
            }
            checkpoint::insert(&mut file, &format!("{STATE}{SCALE}"), &[3], numbers)?;
        }
        Ok(file)
    }

    fn names(&self, arena: Arena, prefix: &str) -> Vec<(String, Vec<usize>)> {
        places(&self.train, arena).map(|place| (format!("{prefix}{}", place.name), place.shape.clone())).collect()
    }

    fn write_parameters(&self, arena: Arena, numbers: &[Vec<f32>]) -> Result<()> {
        for (place, numbers) in places(&self.train, arena).zip(numbers) {
            self.memory.write_parts(&self.gpu, &place.regions(arena), bytemuck::cast_slice(numbers))?;
        }
        Ok(())
    }

    async fn save(&mut self, file: &mut TensorFile, arena: Arena, prefix: &str) -> Result<()> {
        for place in places(&self.train, arena) {
            let mut numbers = Vec::with_capacity(place.bytes() as usize / 4);
            for region in place.regions(arena) {
                let buffer = self.memory.get(&region.role)?;
                numbers.extend(floats(&self.download.download(&self.gpu, buffer, region.offset, region.size).await?));
            }
            checkpoint::insert(file, &format!("{prefix}{}", place.name), &place.shape, numbers)?;
        }
        Ok(())
    }
}

/// The tensors that have numbers in an arena.
fn places(plan: &Plan, arena: Arena) -> impl Iterator<Item = &ParameterPlace> {
    plan.parameters.iter().filter(move |place| arena == Arena::Parameters || place.group != Group::Kept)
}

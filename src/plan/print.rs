//! A plan as text.

use super::{Arena, Dispatch, Plan, Role};
use std::fmt;

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let piece = |index: &usize| if *index == 0 { String::new() } else { format!(" {}", index + 1) };
        match self {
            Self::Arena(Arena::Parameters, index) => write!(f, "parameters{}", piece(index)),
            Self::Arena(Arena::Gradients, index) => write!(f, "gradients{}", piece(index)),
            Self::Arena(Arena::Accumulated, index) => write!(f, "accumulated gradients{}", piece(index)),
            Self::Arena(Arena::Average, index) => write!(f, "averages{}", piece(index)),
            Self::Arena(Arena::State(state), index) => write!(f, "optimizer state {state}{}", piece(index)),
            Self::Activations(index) => write!(f, "activations{}", piece(index)),
            Self::Input(name) => write!(f, "input {name}"),
            Self::Dimensions(name) => write!(f, "dimensions of {name}"),
            Self::Steps => f.write_str("step numbers"),
            Self::Records => f.write_str("records"),
            Self::Null => f.write_str("null"),
            Self::Staging(name) => write!(f, "staging {name}"),
        }
    }
}

impl Dispatch {
    /// Kernel name with the number of workgroups.
    pub fn title(&self) -> String {
        let [x, y, _] = self.launch.workgroups;
        format!("{} x{}", self.launch.kernel.name, u64::from(x) * u64::from(y))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "plan {}: {} dispatches, {:.3} GFLOP",
            self.name,
            self.dispatches.len(),
            self.flops() as f64 / 1e9
        )?;
        for (index, dispatch) in self.dispatches.iter().enumerate() {
            let launch = &dispatch.launch;
            writeln!(
                f,
                "{index:4} {:24} {:22} {:10.3} MFLOP {:10.1} KB  {}",
                dispatch.title(),
                launch.layer,
                launch.flops as f64 / 1e6,
                dispatch.bytes as f64 / 1e3,
                launch.note
            )?;
        }
        for (role, bytes) in &self.buffers {
            writeln!(f, "{bytes:12} B  {role}")?;
        }
        let (activations, bound) = (self.activations(), self.lower_bound);
        let above = 100.0 * (activations as f64 / bound.max(1) as f64 - 1.0);
        writeln!(f, "{:12} B  in all", self.bytes())?;
        write!(f, "activations take {activations} B, {above:.1} % above the {bound} B that are alive at once")
    }
}

//! The optimizer's update of all parameters on `sgd` and `adam`, one dispatch per piece of the arenas.

use super::{Dim, Kernel};
use crate::Result;
use crate::graph::Optimizer;
use crate::plan::{Arena, Group, Lowering, Operand, Stretch};

/// `stretches` of the arenas, each a multiple of 16 bytes.
pub fn lower(ctx: &mut Lowering, optimizer: &Optimizer, stretches: &[Stretch]) -> Result<()> {
    for &stretch in stretches {
        let optimizer = &match stretch.group {
            Group::Decayed => *optimizer,
            _ => optimizer.without_decay(),
        };
        let vectors = stretch.size / 16;
        let arena = |arena| Operand::Arena(arena, stretch);
        let mut operands = vec![arena(Arena::Parameters), arena(Arena::Gradients)];
        operands.extend((0..optimizer.states()).map(|state| arena(Arena::State(state))));
        let count = Dim::U(vectors as u32);
        let (kernel, dims, flops) = match *optimizer {
            Optimizer::Sgd { momentum, nesterov, weight_decay, .. } => {
                if optimizer.states() == 0 {
                    operands.push(Operand::Null);
                }
                let dims = vec![count, Dim::F(momentum), Dim::F(weight_decay), Dim::U(nesterov.into())];
                ("sgd", dims, 6)
            }
            Optimizer::Adam { beta1, beta2, eps, weight_decay, decoupled, .. } => {
                let one_minus = |beta: f32| Dim::F((1.0 - f64::from(beta)) as f32);
                let mut dims = vec![count, one_minus(beta1), Dim::F(beta2), one_minus(beta2)];
                dims.extend([Dim::F(eps), Dim::F(weight_decay), Dim::U(decoupled.into())]);
                ("adam", dims, 14)
            }
        };
        let launch = ctx.launch(Kernel::new(kernel), &dims, &operands, vectors)?;
        launch.layer = "optimizer".into();
        launch.cost(flops * vectors * 4, format!("{} numbers", vectors * 4));
    }
    Ok(())
}

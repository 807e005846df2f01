//! Batches of a resident data set on `gather` and `gather_words`, and on `augment` and `gather_augmented` where they are changed.

use super::divide::{exact, reciprocal};
use super::{Dim, Kernel};
use crate::graph::{Gather, Node};
use crate::plan::{Lowering, Operand};
use crate::reference::philox::key;
use crate::{Error, Result};

pub fn lower(ctx: &mut Lowering, node: &Node, gather: &Gather) -> Result<()> {
    let shape = ctx.shape(node.outputs[0]);
    if shape[1] > 4 {
        return Err(Error::shape(
            &*node.layer,
            format!("gather: images have at most 4 channels, these have {}", shape[1]),
        ));
    }
    if !gather.augment.is_none() {
        return augmented(ctx, node, gather);
    }
    let pixels: usize = shape[1..].iter().product();
    let (count, plane) = (shape[0] * pixels, shape[2] * shape[3]);
    let operands: Vec<Operand> = node.inputs.iter().chain(&node.outputs).map(|&value| Operand::Value(value)).collect();
    let words = plane.is_multiple_of(4);
    let (kernel, numbers, by) = match words {
        true => ("gather_words", vec![pixels / 4, plane / 4, count / 4], vec![pixels / 4]),
        false => ("gather", vec![shape[0], pixels, plane, count], vec![pixels, plane]),
    };
    let mut dims: Vec<Dim> = numbers.iter().map(|&value| Dim::U(value as u32)).collect();
    dims.extend(by.iter().map(|&by| reciprocal(by)));
    dims.resize(dims.len().next_multiple_of(4), Dim::U(0));
    dims.extend(statistics(gather));
    let invocations = numbers.last().map_or(0, |&count| count);
    let launch = ctx.launch(exact(Kernel::new(kernel), invocations, &by), &dims, &operands, invocations as u64)?;
    launch.cost(2 * count as u64, format!("{shape:?}"));
    Ok(())
}

/// Mean and std as two vectors of four.
fn statistics(gather: &Gather) -> impl Iterator<Item = Dim> + '_ {
    let padded = |numbers: &[f32], rest: f32| {
        let number = |channel: usize| numbers.get(channel).copied().unwrap_or(rest);
        [0, 1, 2, 3].map(|channel| Dim::F(number(channel)))
    };
    [padded(&gather.mean, 0.0), padded(&gather.std, 1.0)].into_iter().flatten()
}

/// What happens to a row is drawn once, then done to each of its pixels.
fn augmented(ctx: &mut Lowering, node: &Node, gather: &Gather) -> Result<()> {
    let shape = ctx.shape(node.outputs[0]);
    let [n, height, width] = [shape[0], shape[2], shape[3]].map(|extent| extent as u32);
    let augment = &gather.augment;
    let [key_low, key_high] = key(gather.seed);
    let words = [n, height, width, key_low, key_high, augment.crop, augment.flip.into(), augment.cutout];
    let mut dims: Vec<Dim> = words.into_iter().map(Dim::U).collect();
    dims.extend(augment.ranges().as_flattened().iter().map(|&number| Dim::F(number)));
    let value = |index: usize| node.outputs.get(index).map_or(Operand::Null, |&value| Operand::Value(value));
    let mixup = u32::from(augment.mixup > 0.0);
    let named = |name| Kernel::new(name).define("MIXUP", format!("{mixup}u"));
    let [images, labels, order] = [0, 1, 2].map(|index| Operand::Value(node.inputs[index]));
    let rows = ctx.temporary(32 * u64::from(n));
    let launch = ctx.launch(named("augment"), &dims, &[labels, order, rows, value(1), value(2), value(3)], n.into())?;
    launch.cost(0, format!("[{n}] {augment}"));

    let pixels: usize = shape[1..].iter().product();
    let count = shape[0] * pixels;
    let words = [n, pixels as u32, height, width, count as u32, augment.cutout];
    let mut dims: Vec<Dim> = words.into_iter().map(Dim::U).collect();
    dims.extend([pixels, shape[3], shape[2]].map(reciprocal));
    // Vectors of a uniform block lie at multiples of 16 bytes.
    dims.extend([Dim::U(0); 3]);
    dims.extend(statistics(gather));
    let kernel = exact(named("gather_augmented"), count, &[pixels]);
    let launch = ctx.launch(kernel, &dims, &[images, rows, value(0)], count as u64)?;
    launch.cost(u64::from(6 + 9 * mixup) * count as u64, format!("{shape:?}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::kernels::source;

    /// Each file stands alone, so that the function is in both.
    #[test]
    fn all_random_numbers_are_drawn_by_one_text() {
        let text = |name: &str| {
            let (_, rest) = source(name).split_once("// The upper 32 bits of each product").unwrap();
            rest.split_once("  return c;\n}\n").unwrap().0.to_string()
        };
        assert_eq!(text("augment"), text("dropout"));
    }
}
